package description

import "testing"

func TestWrong(t *testing.T) {
	operations := map[string]Operation{
		"transfer": {Args: []Field{{"from", "text"}, {"to", "text"}, {"amount", "int"}}},
		"put":      {Args: []Field{{"key", "bytes"}, {"tags", "[text]"}, {"until", "int?"}}},
		"exec":     {Args: []Field{{"sql", "text"}, {"parameters", "int…"}}},
		"odd":      {Args: []Field{{"x", "decimal"}}},
	}
	for _, tc := range []struct{ request, want string }{
		{`["transfer", "ann", "bob", 3]`, ""},
		{`["transfer", "ann", "bob"]`, "transfer(from text, to text, amount int) has no amount"},
		{`["transfer", "ann", "bob", "3"]`, "transfer(from text, to text, amount int): amount is to be int"},
		{`["transfer", "ann", "bob", 3, 4]`, "transfer(from text, to text, amount int) has 3 arguments, not 4"},
		{`["transfr"]`, "it takes exec, odd, put, transfer"},
		{`[3]`, "it takes exec, odd, put, transfer"},
		{`[]`, `a request is an array, ["NAME", ARGUMENT, …]`},
		{`"transfer"`, `a request is an array, ["NAME", ARGUMENT, …]`},
		{`["put", {"hex": "00"}, ["a", "b"]]`, ""},
		{`["put", {"hex": "00"}, [], null]`, ""},
		{`["put", {"hex": "00"}, ["a", 3]]`, "put(key bytes, tags [text], until int?): tags is to be [text]"},
		{`["put", "00", []]`, "put(key bytes, tags [text], until int?): key is to be bytes"},
		{`["put", {"hex": "00"}, [], "soon"]`, "put(key bytes, tags [text], until int?): until is to be int?"},
		{`["exec", "SELECT 1"]`, ""},
		{`["exec", "SELECT ?, ?", 1, 2]`, ""},
		{`["exec", "SELECT ?, ?", 1, "2"]`, "exec(sql text, parameters int…): parameters are to be int"},
		{`["exec"]`, "exec(sql text, parameters int…) has no sql"},
		{`["odd", true]`, ""}, // a type that is not known is not judged
	} {
		if got := Wrong(operations, []byte(tc.request)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.request, got, tc.want)
		}
	}
}
