package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"lockstep/wasmabi/instrument"
)

// writeExplanation tells what the instrumentation does to a module.
func writeExplanation(out io.Writer, e instrument.Explanation) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "\nfunction\tbytes\tblocks\tloops\tdearest stretch\tdepth\tNaNs\tname\n")
	for _, f := range e.Functions {
		cost, depth := fmt.Sprint(f.Cost, " gas"), "known"
		if f.Folded {
			cost += ", paid by callers"
		}
		if f.Counted {
			depth = fmt.Sprint("counted, ", f.Weight)
		}
		_, _ = fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%s\t%s\t%d\t%q\n", f.Index, f.Size, f.Nesting, f.Loops, cost, depth, f.Canonical, f.Name)
	}
	_, _ = fmt.Fprintf(w, "\nlimit\thave\tat most\n")
	for _, l := range e.Limits {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\n", l.Name, l.Have, l.Max)
	}
	return w.Flush()
}
