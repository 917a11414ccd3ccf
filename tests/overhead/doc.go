// Package overhead measures what the instrumentation costs: time, size of code,
// and the time to instrument, each against the same module as it came.
package overhead
