// What the join node gathered: a list of lists.
msg.payload = msg.payload.flat();
return msg;
