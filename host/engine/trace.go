package engine

import (
	"fmt"
	"strconv"
	"strings"

	"lockstep/host"
	"lockstep/wasmabi"
)

// A call that trapped leaves the functions that were running in its log, innermost first, for
// the operator and for who tests a guest. The log is not replicated: engines may tell other functions.

// traceMark comes before the frames in wazero's errors.
const traceMark = "wasm stack trace:\n"

// maxName bounds the bytes of a function's name: a guest chooses it.
const maxName = 200

// Trace gives the names of the functions that were running when the last call
// trapped or ran out of gas, innermost first, as many as wazero tells: 30. It is valid until the next call.
func (g *guest) Trace() []string {
	if g.trapped == nil {
		return nil
	}
	_, stack, _ := strings.Cut(g.trapped.Error(), traceMark)
	var names []string
	named := false // the last frame was
	for line := range strings.Lines(stack) {
		line = strings.TrimSpace(line)
		if at, ok := offset(line); ok {
			if where := g.module.where(at); named && where != "" {
				names[len(names)-1] += " (" + where + ")"
			}
			continue
		}
		name := g.module.frame(line)
		if named = name != ""; named {
			names = append(names, name)
		}
	}
	return names
}

// frame names the function of a line. wazero knows no names of the guest's functions,
// for a module may lie in them: it gives their index as ".$12(i32) i64".
func (m *Module) frame(line string) string {
	name, _, ok := strings.Cut(line, "(")
	if !ok {
		return ""
	}
	number, ours := strings.CutPrefix(name, ".$")
	if !ours {
		return name // a host function
	}
	index, err := strconv.Atoi(number)
	if err != nil || index >= m.info.Functions {
		return "" // the rewriting added it
	}
	if name = m.info.Names[index]; name == "" {
		return fmt.Sprintf("function %d", index)
	}
	return printable(name)
}

// where is the place in the guest's source, if that is wanted.
func (m *Module) where(offset int) string {
	if m.lines == nil {
		return ""
	}
	return m.lines.find(offset)
}

// printable is a name that does no harm in a log.
func printable(name string) string {
	if len(name) > maxName {
		name = name[:maxName] + "..."
	}
	quoted := strconv.Quote(name)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// logTrace adds the trace to the log, as far as there is room.
func (g *guest) logTrace(o *host.Outcome) {
	why := o.Trap.String()
	if o.Status == wasmabi.OutOfGas {
		why = o.Status.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "trap: %s\n", why)
	for _, name := range g.Trace() {
		fmt.Fprintf(&b, "\tat %s\n", name)
	}
	if n := len(g.log); n > 0 && g.log[n-1] != '\n' {
		g.keepLog([]byte{'\n'})
	}
	g.keepLog([]byte(b.String()))
	o.Log = g.log
}
