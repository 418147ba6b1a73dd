// An envelope becomes points of `influxdb batch`.
const points = [];
for (const record of msg.payload.records) {
  if (record.kind !== "readings") continue;
  record.at.forEach((at, i) => {
    const fields = {};
    for (const [point, column] of Object.entries(record.values)) {
      const value = column[i];
      if (value !== null) fields[point] = Array.isArray(value) ? JSON.stringify(value) : value;
    }
    points.push({ measurement: "elevator", tags: { asset: record.asset }, fields, timestamp: at });
  });
}
msg.payload = points;
return msg;
