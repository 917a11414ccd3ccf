package description

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Wrong says in what a request, JSON as FromJSON takes it, is not one of the operations: ["name", args…].
// It is "" where nothing is known to be wrong, as with types that this package has not.
func Wrong(operations map[string]Operation, request []byte) string {
	d := json.NewDecoder(bytes.NewReader(request))
	d.UseNumber()
	var words []any
	if d.Decode(&words) != nil || len(words) == 0 {
		return `a request is an array, ["NAME", ARGUMENT, …]`
	}
	name, isText := words[0].(string)
	op, known := operations[name]
	if !isText || !known {
		return fmt.Sprintf("it takes %s", strings.Join(slices.Sorted(maps.Keys(operations)), ", "))
	}
	args := words[1:]
	for i, a := range op.Args {
		if kind, many := strings.CutSuffix(a.Type, "…"); many {
			if slices.ContainsFunc(args[min(i, len(args)):], func(v any) bool { return !fits(kind, v) }) {
				return fmt.Sprintf("%s: %s are to be %s", op.Signature(name), a.Name, kind)
			}
			return ""
		}
		switch {
		case i >= len(args) && strings.HasSuffix(a.Type, "?"):
		case i >= len(args):
			return fmt.Sprintf("%s has no %s", op.Signature(name), a.Name)
		case !fits(a.Type, args[i]):
			return fmt.Sprintf("%s: %s is to be %s", op.Signature(name), a.Name, a.Type)
		}
	}
	if len(args) > len(op.Args) {
		return fmt.Sprintf("%s has %d arguments, not %d", op.Signature(name), len(op.Args), len(args))
	}
	return ""
}

// Signature is the operation with its arguments, for people.
func (op Operation) Signature(name string) string {
	args := make([]string, 0, len(op.Args))
	for _, a := range op.Args {
		args = append(args, a.Name+" "+a.Type)
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

// fits reports whether a JSON value is of a described type, or the type is none that is known here.
func fits(kind string, v any) bool {
	if inner, ok := strings.CutSuffix(kind, "?"); ok {
		return v == nil || fits(inner, v)
	}
	if inner, ok := strings.CutPrefix(kind, "["); ok {
		list, isList := v.([]any)
		inner = strings.TrimSuffix(inner, "]")
		return isList && !slices.ContainsFunc(list, func(item any) bool { return !fits(inner, item) })
	}
	ok := true
	switch kind {
	case "int":
		_, ok = v.(json.Number)
	case "text":
		_, ok = v.(string)
	case "bool":
		_, ok = v.(bool)
	case "bytes":
		_, ok = v.(map[string]any)
	case "null":
		ok = v == nil
	}
	return ok
}
