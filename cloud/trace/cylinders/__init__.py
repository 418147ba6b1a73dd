"""Steps in the lives of gas cylinders, as the registry knows them, as EPCIS events."""
