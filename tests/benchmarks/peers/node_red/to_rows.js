// An envelope becomes one payload of `influxdb out`: [[fields, tags], ...].
const rows = [];
for (const record of msg.payload.records) {
  if (record.kind !== "readings") continue;
  record.at.forEach((at, i) => {
    const fields = { time: at };
    for (const [point, column] of Object.entries(record.values)) {
      const value = column[i];
      if (value !== null) fields[point] = Array.isArray(value) ? JSON.stringify(value) : value;
    }
    rows.push([fields, { asset: record.asset }]);
  });
}
msg.payload = rows;
return msg;
