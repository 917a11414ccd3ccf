package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/snapshot"
	"lockstep/snapshot/archive"
	"lockstep/wasmabi/instrument"
)

// MissingImportError says that the node does not hold an imported state.
type MissingImportError struct{ Root audit.Digest }

func (e *MissingImportError) Error() string {
	return fmt.Sprintf("no checkpoint with root %s was imported here: run 'lockstep checkpoint import' on this node", e.Root.Hex())
}

// ImportPath is where a node keeps an imported checkpoint, by its root: an
// exported file as it is. Whoever puts one there verifies it first.
func ImportPath(dir string, root audit.Digest) string {
	return filepath.Join(dir, "imports", root.Hex()+".checkpoint")
}

// imported gives an imported state to a machine.
func (n *Node) imported(root audit.Digest) (*host.Imported, error) {
	path := ImportPath(n.opts.Dir, root)
	var head archive.Head
	if err := readImport(path, func(r *archive.Reader) error {
		head = r.Head()
		return nil
	}); errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingImportError{root}
	} else if err != nil {
		return nil, err
	}
	if err := n.keepModule(head.Module); err != nil {
		return nil, err
	}
	return &host.Imported{Manifest: head.Manifest, Pages: func(take func([]snapshot.Page) error) error {
		return readImport(path, func(r *archive.Reader) error { return readPages(r, take) })
	}}, nil
}

func readImport(path string, read func(*archive.Reader) error) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read imported checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r, err := archive.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err == nil {
		err = read(r)
	}
	if err != nil {
		err = fmt.Errorf("read imported checkpoint %s: %w", path, err)
	}
	return err
}

func readPages(r *archive.Reader, take func([]snapshot.Page) error) error {
	for {
		pages, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = take(pages)
		}
		if err != nil {
			return err
		}
	}
}

// keepModule makes the node hold a module.
func (n *Node) keepModule(wasm []byte) error {
	var missing *MissingModuleError
	if _, err := n.modules.get(host.ModuleDigest(wasm)); !errors.As(err, &missing) {
		return err
	}
	return n.modules.put(wasm, n.runs)
}

// holdImport checks an imported state, and that its guest can run here.
func (r *Replica) holdImport(q host.Prepare) error {
	imported, err := r.node.imported(q.Checkpoint)
	if err != nil {
		return err
	}
	if got := imported.Manifest.Root(); got != q.Checkpoint {
		return fmt.Errorf("imported checkpoint has root %s, want %s", got.Hex(), q.Checkpoint.Hex())
	}
	if err := imported.Pages(func([]snapshot.Page) error { return nil }); err != nil {
		return err
	}
	module, config, deployed, err := host.ModuleOf(imported.Manifest)
	if err != nil || !deployed {
		return errors.Join(errors.New("imported checkpoint has no guest"), err)
	}
	if q.Config.MaxMemory > 0 {
		config.MaxMemory = q.Config.MaxMemory
	}
	if err := r.claim(config.Resolve(instrument.Profile).MaxMemory); err != nil {
		return err
	}
	return r.node.modules.compile(module, config.Resolve(instrument.Profile))
}

// errMoved says that an entry was not applied since the machine is past it now.
var errMoved = errors.New("state was taken from others")

// skipImport gets past a DEPLOY whose checkpoint is not here: a majority holds it
// and keeps the state that came of it, which is taken from them.
func (r *Replica) skipImport(absent *MissingImportError) error {
	for {
		r.logger.Info("deployed from a checkpoint that was not imported here; taking the state from others", "root", absent.Root.Hex())
		err := r.transferLatest()
		if err == nil {
			return errMoved
		}
		if noMemory(err) {
			return err
		}
		r.logger.Warn("take state from others; trying again", "err", err)
		if !r.sleep(tickEvery) {
			return r.ctx.Err()
		}
	}
}
