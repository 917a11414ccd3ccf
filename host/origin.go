package host

import (
	"errors"
	"fmt"

	"lockstep/audit"
	"lockstep/snapshot"
)

// Imported is a state from another cluster.
type Imported struct {
	Manifest snapshot.Manifest
	// Pages hands all pages to take that are not zeros, in any order. They are
	// valid during the call.
	Pages func(take func([]snapshot.Page) error) error
}

// ModuleOf tells of which module a manifest's state is, and the config of its
// machine; deployed is false if it has no guest.
func ModuleOf(man snapshot.Manifest) (module audit.Digest, config Config, deployed bool, err error) {
	var s system
	if err := s.decode(man.System); err != nil {
		return module, config, false, fmt.Errorf("read system state: %w", err)
	}
	return s.module, s.config, s.deployed, nil
}

// SetImport says where imported states come from, by their roots. Without, there
// are none. Any error is the world's: Apply returns it with nothing changed.
func (m *Machine) SetImport(from func(root audit.Digest) (*Imported, error)) { m.imports = from }

// inherit makes the guest of a DEPLOY that names a checkpoint: the module, the
// memory, the globals, the timers and what the config leaves open are those of
// the checkpoint; members, sessions and the log are the new machine's.
func (m *Machine) inherit(a *arrival, body Deploy) error {
	if m.imports == nil {
		return errors.New("this replica holds no imported states")
	}
	imported, err := m.imports(body.Checkpoint)
	if err != nil {
		return err
	}
	man := imported.Manifest
	if man.Root() != body.Checkpoint {
		return fmt.Errorf("imported state has root %v, want %v", man.Root(), body.Checkpoint)
	}
	a.origin = new(system)
	// From here on what is wrong is in the checkpoint, for all replicas alike.
	if err := a.origin.decode(man.System); err != nil {
		return a.refuse(RefusedCheckpoint, err.Error())
	}
	mode, operator := a.config.Mode, a.config.Operator // like the members, the new machine's
	a.module, a.config = a.origin.module, body.Config.inherit(a.origin.config).Resolve(m.profile)
	a.config.Mode, a.config.Operator = mode, operator
	switch err := a.config.Validate(m.profile); {
	case !a.origin.deployed:
		return a.refuse(RefusedCheckpoint, "checkpoint is of a machine without a guest")
	case body.Module != audit.Digest{} && body.Module != a.module:
		return a.refuse(RefusedCheckpoint, "checkpoint is of module "+a.module.Hex())
	case err != nil:
		return a.refuse(RefusedCheckpoint, err.Error())
	case man.Size > uint64(a.config.MaxMemory)*wasmPage:
		return a.refuse(RefusedCheckpoint, fmt.Sprintf("checkpoint has %d bytes of memory, the limit is %d pages of 64 KiB", man.Size, a.config.MaxMemory))
	}
	return m.fill(a, imported)
}

const wasmPage = 64 << 10

// fill loads the guest and gives it the state.
func (m *Machine) fill(a *arrival, from *Imported) error {
	guest, err := m.load(a.module, a.config)
	if errors.Is(err, ErrModuleRefused) {
		return a.refuse(RefusedModule, err.Error())
	}
	if err != nil {
		return fmt.Errorf("load module %v: %w", a.module, err)
	}
	a.guest = guest
	guest.Undo()
	man := from.Manifest
	if err := guest.Patch(snapshot.Delta{Size: man.Size, Globals: man.Globals}); err != nil {
		a.leave()
		a.guest = nil
		return a.refuse(RefusedCheckpoint, err.Error())
	}
	err = zeroed(guest, man.Size)
	if err == nil {
		err = from.Pages(func(pages []snapshot.Page) error {
			return guest.Patch(snapshot.Delta{Size: man.Size, Pages: pages})
		})
	}
	if err == nil {
		tree := snapshot.NewTree()
		tree.Resize(len(guest.Memory()))
		hash(tree, guest, span(0, len(guest.Memory())))
		if tree.Root() != man.Pages {
			err = fmt.Errorf("pages of imported state have root %v, want %v", tree.Root(), man.Pages)
		}
	}
	if err != nil {
		a.leave()
		a.guest = nil
		return fmt.Errorf("fill guest: %w", err)
	}
	return nil
}

// zeroed clears what the module itself puts into a new memory.
func zeroed(guest Guest, size uint64) error {
	var pages []snapshot.Page
	memory := guest.Memory()
	for _, i := range span(0, int(size)) {
		if !blank(guest, i) && snapshot.PageDigest(memory[int(i)*snapshot.PageSize:][:snapshot.PageSize]) != snapshot.ZeroPage {
			pages = append(pages, snapshot.Page{Index: i, Data: noBytes[:]})
		}
	}
	return guest.Patch(snapshot.Delta{Size: size, Pages: pages})
}

var noBytes [snapshot.PageSize]byte

// refuse makes the receipt of a DEPLOY that no replica carries out.
func (a *arrival) refuse(why Refusal, detail string) error {
	a.refusal = refused(0, why, detail)
	return nil
}

// settle takes over what the checkpoint has besides the guest. Time goes on from
// where the guest saw it last, or it would step back.
func (m *Machine) settle(origin *system) {
	m.time = max(m.time, origin.time+1)
	m.timers = origin.timers
}
