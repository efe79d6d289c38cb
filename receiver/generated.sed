# Corrects what mdatagen 0.159.0 makes of a component that has events and no metrics of its own; go generate runs it.

# It leaves out two imports.
s|^	"go.opentelemetry.io/collector/confmap"$|&\n	"go.opentelemetry.io/collector/filter"|
s|^	"go.opentelemetry.io/collector/confmap/confmaptest"$|	"go.opentelemetry.io/collector/confmap"\n&|

# Its documentation has keys that are not here: connection_records chooses the events.
s/^The following events are emitted by default\. Each of them can be disabled.*/The log records of these events are emitted by default. `connection_records` lists those that are wanted:/
s/^The following events are not emitted by default\. Each of them can be enabled.*/The log records of these events are emitted if `connection_records` lists them:/
/^events:$/,/^```$/c\
connection_records: [open, close, fail]\
```
