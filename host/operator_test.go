package host_test

import (
	"crypto/ed25519"
	"testing"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/wasmabi"
)

// The operator's key that a DEPLOY names is the membership's for the machine's life, and in the root. A machine that begins from
// another one's checkpoint has its own, or none.
func TestOperatorKeyIsMembership(t *testing.T) {
	w := newWorld(t, kv.V2)
	operator := audit.Operator(key(77).Public().(ed25519.PublicKey))
	deploy := func(o audit.Operator) *bench {
		d := host.ModuleDigest(kv.V2)
		b := newBench(t, w)
		body := host.Deploy{Machine: "test", Module: d, Members: members, Holders: holdings(d, "a", "c"), Config: host.Config{MaxMemory: 64, Operator: o}}
		if _, r := b.apply(control(1, host.ControlDeploy, host.DeployFormat.Encode(body))); r[0].Status != wasmabi.OK {
			t.Fatalf("deploy: %+v", r)
		}
		return b
	}
	a := deploy(operator)
	if a.Root() == deploy(audit.Operator{}).Root() {
		t.Error("the root is the same with an operator's key and without")
	}
	want := func(b *bench, after string, o audit.Operator) {
		t.Helper()
		if got := b.Members().Operator; got != o || b.Config().Operator != o {
			t.Errorf("after %s: operator's key %x, in the config %x, want %x", after, got, b.Config().Operator, o)
		}
	}
	want(a, "DEPLOY", operator)
	a.apply(control(2, host.ControlJoin, host.JoinFormat.Encode(host.Join{Member: member("d", 4)})))
	want(a, "JOIN", operator)
	a.apply(control(3, host.ControlQuit, host.QuitFormat.Encode(host.Quit{Replica: "d"})))
	want(a, "QUIT", operator)
	if len(a.Members().List) != len(members) {
		t.Errorf("members %+v", a.Members().List)
	}
	root, held := importOf(a.Machine)
	b := newBench(t, w)
	b.SetImport(held)
	if _, r := b.apply(deployFrom(root, nil)); r[0].Status != wasmabi.OK {
		t.Fatalf("deploy from a checkpoint: %+v", r)
	}
	want(b, "DEPLOY from another's checkpoint", audit.Operator{})
}
