"""SQL of metering. Writes only the schema `metering`; reads facts of the packages below."""
