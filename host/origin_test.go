package host_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"lockstep/audit"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/wasmabi"
)

// imports is where a machine has imported states from.
type imports = func(audit.Digest) (*host.Imported, error)

// importOf is a machine's state as an import of another.
func importOf(m *host.Machine) (audit.Digest, imports) {
	man, memory := m.Manifest(), bytes.Clone(m.Memory())
	root := man.Root()
	return root, func(d audit.Digest) (*host.Imported, error) {
		if d != root {
			return nil, errors.New("not here")
		}
		return &host.Imported{Manifest: man, Pages: func(take func([]snapshot.Page) error) error {
			for i := 0; i < len(memory); i += snapshot.PageSize {
				page := memory[i:][:snapshot.PageSize]
				if snapshot.PageDigest(page) == snapshot.ZeroPage {
					continue
				}
				if err := take([]snapshot.Page{{Index: uint32(i / snapshot.PageSize), Data: page}}); err != nil {
					return err
				}
			}
			return nil
		}}, nil
	}
}

func deployFrom(root audit.Digest, change func(*host.Deploy)) []byte {
	d := host.Deploy{Machine: "test", Members: members, Holders: holdings(root, "a", "b"), Checkpoint: root, Config: host.Config{AuditEvery: 2}}
	if change != nil {
		change(&d)
	}
	return control(1, host.ControlDeploy, host.DeployFormat.Encode(d))
}

// A machine that begins from another's checkpoint has its guest's state to the
// byte, what it set in its config, and nothing else of it; and goes on.
func TestDeployFromCheckpoint(t *testing.T) {
	w := newWorld(t, kv.V1, kv.V2)
	a := deployed(t, w, kv.V2)
	a.time = 1 << 60
	for i := range uint64(20) {
		a.apply(batch(0, 1+i, kv.Put(fmt.Sprint("key-", i), bytes.Repeat([]byte{byte(i)}, 3000))))
	}
	root, held := importOf(a.Machine)
	b := newBench(t, w)
	b.SetImport(held)
	tr, r := b.apply(deployFrom(root, nil))
	if len(r) != 1 || r[0].Status != wasmabi.OK || tr.Checkpoint == nil || tr.Members == nil {
		t.Fatalf("deploy from a checkpoint: %+v (%s)", r, r[0].Output)
	}
	if a.MemoryAndGlobals() != b.MemoryAndGlobals() {
		t.Error("the guest's state is not the checkpoint's")
	}
	if b.Time() <= a.Time() {
		t.Errorf("time steps back from %d to %d", a.Time(), b.Time())
	}
	if c := b.Config(); c.AuditEvery != 2 || c.MaxMemory != a.Config().MaxMemory || c.InputGas != a.Config().InputGas {
		t.Errorf("config %+v", c)
	}
	// Sessions are not taken over: the number that A has answered is new to B.
	_, r = b.apply(batch(0, 1, kv.Get("key-7"), kv.Count()))
	if v, ok, err := kv.DecodeGet(r[0].Output); r[0].Duplicate || !ok || err != nil || !bytes.Equal(v, bytes.Repeat([]byte{7}, 3000)) {
		t.Errorf("key-7 is %.20q, %v, %v", v, ok, err)
	}
	if n, err := kv.DecodeNumber(r[1].Output); err != nil || n != 20 {
		t.Errorf("%d keys, %v", n, err)
	}
	if tr.Audited.Root == root {
		t.Error("the new machine's root is the old one's, although its members and its log are others")
	}
	v1 := host.ModuleDigest(kv.V1)
	_, r = b.apply(control(2, host.ControlUpgrade, host.UpgradeFormat.Encode(host.Upgrade{Module: v1, Holders: holdings(v1, "a", "b")})))
	if r[0].Status != wasmabi.OK {
		t.Errorf("upgrade afterwards: %+v", r[0])
	}
}

func TestDeployFromCheckpointRefused(t *testing.T) {
	w := newWorld(t, kv.V1, kv.V2)
	a := deployed(t, w, kv.V2)
	root, held := importOf(a.Machine)
	empty, noGuest := importOf(newBench(t, w).Machine)
	for name, c := range map[string]struct {
		data []byte
		from imports
		want host.Refusal
	}{
		"held by a minority": {deployFrom(root, func(d *host.Deploy) { d.Holders = d.Holders[:1] }), held, host.RefusedCheckpoint},
		"holders of module":  {deployFrom(root, func(d *host.Deploy) { d.Holders = holdings(host.ModuleDigest(kv.V2), "a", "b") }), held, host.RefusedCheckpoint},
		"another module":     {deployFrom(root, func(d *host.Deploy) { d.Module = host.ModuleDigest(kv.V1) }), held, host.RefusedCheckpoint},
		"too little memory":  {deployFrom(root, func(d *host.Deploy) { d.Config.MaxMemory = 1 }), held, host.RefusedCheckpoint},
		"another profile":    {deployFrom(root, func(d *host.Deploy) { d.Config.Profile = 99 }), held, host.RefusedMalformed},
		"no guest":           {deployFrom(empty, nil), noGuest, host.RefusedCheckpoint},
	} {
		b := newBench(t, w)
		b.SetImport(c.from)
		_, r := b.apply(c.data)
		if r[0].Status != wasmabi.Refused || host.Refusal(r[0].Code) != c.want {
			t.Errorf("%s: %+v (%s), want refused with %v", name, r[0], r[0].Output, c.want)
		}
		if _, deployed := b.Module(); deployed {
			t.Errorf("%s: and yet it is deployed", name)
		}
	}
	// What is not here, or rotten here, is this replica's trouble alone: nothing
	// is applied.
	rotten := func(d audit.Digest) (*host.Imported, error) {
		im, err := held(d)
		pages := im.Pages
		im.Pages = func(take func([]snapshot.Page) error) error {
			return pages(func(list []snapshot.Page) error {
				bad := bytes.Clone(list[0].Data)
				bad[9] ^= 1
				list[0].Data = bad
				return take(list)
			})
		}
		return im, err
	}
	for name, from := range map[string]imports{"none": nil, "absent": func(audit.Digest) (*host.Imported, error) { return nil, errors.New("not here") }, "rotten": rotten} {
		b := newBench(t, w)
		b.SetImport(from)
		if tr, err := b.Apply(ordering.Entry{Epoch: 1, Seq: 1, Time: 1, Data: deployFrom(root, nil)}); err == nil || b.Seq() != 0 {
			t.Errorf("%s: %+v, seq %d, want an error and nothing applied", name, tr, b.Seq())
		}
	}
}
