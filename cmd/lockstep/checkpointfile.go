package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/node"
	"lockstep/snapshot"
	"lockstep/snapshot/archive"
	"lockstep/snapshot/store"
)

func checkpointExportCommand(r *remote) *cobra.Command {
	var w which
	var output string
	c := &cobra.Command{
		Use:   "export",
		Short: "Write a checkpoint to one file that proves its root",
		Long: `Writes manifest, module and pages of a checkpoint to one file, which needs nothing
else to be verified and imported. The root that is printed names the whole state:
whoever imports the file compares it.`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			s, dir, err := w.open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			man, err := w.one(s)
			if err != nil {
				return err
			}
			if output == "" {
				output = fmt.Sprintf("%s-%d.checkpoint", man.Machine, man.Seq)
			}
			if err := placeFile(output, func(f io.Writer) error {
				b := newBar(r.progress(c), "exporting", int64(man.Size))
				defer b.end()
				return export(f, s, dir, man, b)
			}); err != nil {
				return err
			}
			v := struct {
				listed
				File string `json:"file"`
			}{listedOf(man, false), output}
			return r.show(c, v, func(out io.Writer) error {
				_, err := fmt.Fprintf(out, "%s: machine %s at epoch %d, seq %d\nroot  %s\n", output, man.Machine, man.Epoch, man.Seq, man.Root().Hex())
				return err
			})
		},
	}
	w.register(c, true)
	c.Flags().StringVarP(&output, "output", "o", "", "file to write (default: MACHINE-SEQ.checkpoint)")
	return c
}

func export(f io.Writer, s *store.Store, dir string, man snapshot.Manifest, b *bar) error {
	module, err := storedModule(dir, man)
	if err != nil {
		return err
	}
	out, err := archive.NewWriter(f, archive.Head{Manifest: man, Module: module})
	if err != nil {
		return err
	}
	if err := s.Pages(man, func(p snapshot.Page) error {
		b.add(snapshot.PageSize)
		return out.Page(p)
	}); err != nil {
		return err
	}
	return out.Close()
}

// storedModule reads the module of a state from the node's folder.
func storedModule(dir string, man snapshot.Manifest) ([]byte, error) {
	module, _, deployed, err := host.ModuleOf(man)
	if err != nil || !deployed {
		return nil, err
	}
	wasm, err := os.ReadFile(filepath.Join(dir, "modules", module.Hex()+".wasm"))
	if err != nil {
		return nil, fmt.Errorf("read module of checkpoint: %w", err)
	}
	if host.ModuleDigest(wasm) != module {
		return nil, fmt.Errorf("module %s is corrupt on disk", module.Hex())
	}
	return wasm, nil
}

// placeFile makes a file that is whole or not there, and overwrites none.
func placeFile(path string, write func(io.Writer) error) (err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s is there already", path), err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".checkpoint-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already if all went well
	buffer := bufio.NewWriterSize(f, 1<<20)
	err = write(buffer)
	if err == nil {
		err = errors.Join(buffer.Flush(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// verifyFile reads an exported file whole.
func verifyFile(path string, progress io.Writer) (_ snapshot.Manifest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return snapshot.Manifest{}, fmt.Errorf("read checkpoint file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := fileBar(progress, "verifying", f)
	defer b.end()
	head, _, err := archive.Verify(bufio.NewReaderSize(io.TeeReader(f, b), 1<<20))
	if err != nil {
		return snapshot.Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	module, _, deployed, err := host.ModuleOf(head.Manifest)
	if err != nil {
		return snapshot.Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	if deployed && host.ModuleDigest(head.Module) != module {
		return snapshot.Manifest{}, fmt.Errorf("%s: its module is not %s, which its manifest names", path, module.Hex())
	}
	return head.Manifest, nil
}

func checkpointImportCommand(r *remote) *cobra.Command {
	var data, root string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Give a node an exported checkpoint, for a machine to begin from",
		Long: `Verifies an exported file and puts it into a node's data folder; the node may run.
After it was imported on a majority of a cluster's nodes, a machine is deployed from
it by its root. The file proves that it holds the state with that root, and not whose
state it is: compare the root with the one that export printed, or give it with --root.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			w := which{data: data}
			dir, err := w.folder()
			if err != nil {
				return err
			}
			man, err := verifyFile(args[0], r.progress(c))
			if err != nil {
				return err
			}
			got := man.Root()
			trusted := "not compared with any: pass --root to have it compared"
			if root != "" {
				if want, err := readRoot(root); err != nil {
					return err
				} else if got != want {
					return fmt.Errorf("%s holds the state with root %s, not %s", args[0], got.Hex(), root)
				}
				trusted = "as expected"
			}
			if err := importFile(dir, args[0], got, r.progress(c)); err != nil {
				return err
			}
			return r.show(c, listedOf(man, true), func(out io.Writer) error {
				_, err := fmt.Fprintf(out, "imported machine %s at epoch %d, seq %d\nroot  %s (%s)\n", man.Machine, man.Epoch, man.Seq, got.Hex(), trusted)
				return err
			})
		},
	}
	c.Flags().StringVar(&data, "data", "lockstep-data", "data folder of the node")
	c.Flags().StringVar(&root, "root", "", "root that the file must have, in hexadecimal")
	return c
}

// readRoot reads a root as it is printed.
func readRoot(text string) (audit.Digest, error) {
	var d audit.Digest
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(d) {
		return d, usage("root %q is not %d hexadecimal digits", text, 2*len(d))
	}
	copy(d[:], b)
	return d, nil
}

// importFile copies a verified file to where the node looks for it.
func importFile(dir, path string, root audit.Digest, progress io.Writer) (err error) {
	to := node.ImportPath(dir, root)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("import checkpoint: %w", err)
	}
	if _, err := os.Stat(to); err == nil {
		if err := os.Remove(to); err != nil { // it may have gone bad
			return fmt.Errorf("import checkpoint again: %w", err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("import checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := placeFile(to, func(w io.Writer) error {
		b := fileBar(progress, "copying", f)
		defer b.end()
		_, err := io.Copy(io.MultiWriter(w, b), f)
		return err
	}); err != nil {
		return err
	}
	// What was read while verifying may not be what was copied.
	man, err := verifyFile(to, progress)
	if err == nil && man.Root() != root {
		err = fmt.Errorf("%s changed while it was imported", path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(to))
	}
	return err
}
