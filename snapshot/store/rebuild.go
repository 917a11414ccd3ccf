package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"lockstep/snapshot"
)

// Folders beside the store's own: the one that is being built anew, and the one
// that was found rotten.
const (
	building = ".new"
	rotten   = ".rotten"
)

// IsCorrupt reports whether an error of Open says that the files are bad, so
// that opening them again cannot help.
func IsCorrupt(err error) bool { return pebble.IsCorruptionError(err) }

// SetAside renames a store that cannot be opened, so that a new one can take its
// place, and returns its new name. One that was set aside before is removed.
func SetAside(dir string) (string, error) { return setAside(vfs.Default, dir) }

func setAside(files vfs.FS, dir string) (string, error) {
	aside := dir + rotten
	if err := files.RemoveAll(aside); err != nil {
		return "", fmt.Errorf("set rotten store aside: %w", err)
	}
	if err := files.Rename(dir, aside); err != nil {
		return "", fmt.Errorf("set rotten store aside: %w", err)
	}
	return aside, syncParent(files, dir)
}

func syncParent(files vfs.FS, dir string) error {
	parent, err := files.OpenDir(files.PathDir(dir))
	if err != nil {
		return fmt.Errorf("sync folder of store: %w", err)
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// settle ends what a crash left of a Rebuild: before the rotten store was set
// aside the new one counts for nothing, and afterwards it is the store.
func settle(files vfs.FS, dir string) error {
	if _, err := files.Stat(dir + building); err != nil {
		return nil
	}
	if _, err := files.Stat(dir); err == nil {
		return files.RemoveAll(dir + building)
	}
	return errors.Join(files.Rename(dir+building, dir), syncParent(files, dir))
}

// Rebuild makes the store anew from the checkpoints that are whole, after a
// *CorruptError: nothing bad is left for later ones to build on. It returns the
// checkpoints that are lost. The old files are set aside under another name.
// Saves wait for it; reads go on.
func (s *Store) Rebuild(ctx context.Context) (lost []snapshot.Manifest, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.room.check(saveBatch); err != nil {
		return nil, err
	}
	files, dir := s.room.files, s.room.dir
	if err := files.RemoveAll(dir + building); err != nil {
		return nil, fmt.Errorf("rebuild store: %w", err)
	}
	fresh, err := open(dir+building, files, false)
	if err != nil {
		return nil, fmt.Errorf("rebuild store: %w", err)
	}
	lost, err = s.copyWhole(ctx, fresh)
	if err = errors.Join(err, fresh.Close()); err != nil {
		return nil, fmt.Errorf("rebuild store: %w", err)
	}
	return lost, s.swap()
}

// swap puts the new store in the place of the old one.
func (s *Store) swap() error {
	s.reading.Lock()
	defer s.reading.Unlock()
	files, dir := s.room.files, s.room.dir
	_ = s.db.Close() // it is rotten, and may say so
	if _, err := setAside(files, dir); err != nil {
		return err
	}
	if err := errors.Join(files.Rename(dir+building, dir), syncParent(files, dir)); err != nil {
		return fmt.Errorf("rebuild store: %w", err)
	}
	fresh, err := open(dir, files, false)
	if err != nil {
		return fmt.Errorf("open rebuilt store: %w", err)
	}
	fresh.enc, fresh.dec = nil, nil // the store goes on with its own
	s.db, s.room = fresh.db, fresh.room
	return nil
}

// copyWhole copies the checkpoints that are whole, and returns the others.
func (s *Store) copyWhole(ctx context.Context, to *Store) (lost []snapshot.Manifest, err error) {
	machines, err := s.Machines()
	if err != nil {
		return nil, err
	}
	for _, machine := range machines {
		list, err := s.List(machine)
		if err != nil {
			return nil, err
		}
		for _, man := range list {
			bad := &whole{s: s, machine: machine}
			if err := to.write(ctx, man, bad); bad.corrupt {
				lost = append(lost, man)
			} else if err != nil {
				return nil, err
			}
		}
	}
	return lost, nil
}

// whole gives the parts of a stored checkpoint, and remembers that one was bad.
type whole struct {
	s       *Store
	machine string
	corrupt bool
}

func (w *whole) node(p snapshot.Ref) ([]byte, error) {
	v, err := w.s.whole(w.machine, p)
	w.corrupt = w.corrupt || err != nil
	return v, err
}

func (w *whole) page(p snapshot.Ref) ([]byte, error) { return w.node(p) }
