package main

import (
	"bytes"
	"errors"
	"testing"

	"lockstep/guests/examples/kv"
	"lockstep/guests/sdk/go/lockstep"
)

func TestMachine(t *testing.T) {
	m, ctx := &machine{}, new(lockstep.Mock).Ctx()
	for _, step := range []struct {
		name    string
		request []byte
		want    []byte
		code    uint32
	}{
		{"put", kv.Put("a", []byte("1")), nil, 0},
		{"get", kv.Get("a"), []byte("\x011"), 0},
		{"get of nothing", kv.Get("b"), []byte{0}, 0},
		{"add to nothing", kv.Add("n", 5), []byte{0, 0, 0, 0, 0, 0, 0, 5}, 0},
		{"add", kv.Add("n", -7), []byte{255, 255, 255, 255, 255, 255, 255, 254}, 0},
		{"add to no number", kv.Add("a", 1), nil, kv.CodeNotNumber},
		{"add without delta", append([]byte{byte(kv.OpAdd), 1}, 'n'), nil, kv.CodeMalformed},
		{"count", kv.Count(), []byte{0, 0, 0, 0, 0, 0, 0, 2}, 0},
		{"delete", kv.Delete("a"), []byte{1}, 0},
		{"delete nothing", kv.Delete("a"), []byte{0}, 0},
		{"unknown", []byte{99, 0}, nil, kv.CodeUnknown},
		{"malformed", nil, nil, kv.CodeMalformed},
	} {
		got, err := m.Apply(ctx, step.request)
		r := &lockstep.Rejection{}
		_ = errors.As(err, &r)
		if !bytes.Equal(got, step.want) || r.Code != step.code {
			t.Errorf("%s: got %x and code %d (%v), want %x and %d", step.name, got, r.Code, err, step.want, step.code)
		}
	}
	if _, err := m.Query(ctx, kv.Put("a", nil)); err == nil {
		t.Error("a query put")
	}
}
