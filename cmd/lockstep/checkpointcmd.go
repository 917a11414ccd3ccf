package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lockstep/host"
	"lockstep/ordering"
	"lockstep/snapshot"
	"lockstep/snapshot/archive"
	"lockstep/snapshot/store"
)

func checkpointCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:   "checkpoint",
		Short: "Make checkpoints, look at those of a node, and take them to other clusters",
		Long: `A checkpoint is named by its root, a digest of the whole state: two files with one root
hold one state. But for make, these commands work on the data folder of a node that does
not run.`,
	}
	c.AddCommand(checkpointMakeCommand(r), checkpointListCommand(r), checkpointVerifyCommand(r), checkpointExportCommand(r), checkpointImportCommand(r))
	return c
}

// listed is a checkpoint as list prints it.
type listed struct {
	Machine  string `json:"machine"`
	Epoch    uint64 `json:"epoch"`
	Seq      uint64 `json:"seq"`
	Memory   uint64 `json:"memory"` // bytes
	Module   string `json:"module,omitempty"`
	Root     string `json:"root"`
	Imported bool   `json:"imported"`
}

// verified is a checkpoint as verify prints it.
type verified struct {
	listed
	Bad string `json:"bad,omitempty"` // what is wrong with it
}

func listedOf(man snapshot.Manifest, imported bool) listed {
	l := listed{man.Machine, uint64(man.Epoch), uint64(man.Seq), man.Size, "", man.Root().Hex(), imported}
	if module, _, deployed, err := host.ModuleOf(man); err == nil && deployed {
		l.Module = module.Hex()
	}
	return l
}

// which says which checkpoints of which folder a command is for.
type which struct {
	data    string
	machine string
	seq     uint64
}

func (w *which) register(c *cobra.Command, one bool) {
	c.Flags().StringVar(&w.data, "data", "lockstep-data", "data folder of the node")
	what := "only those of this machine"
	if one {
		what = "machine (default: the only one)"
	}
	c.Flags().StringVar(&w.machine, "machine", "", what)
	if one {
		c.Flags().Uint64Var(&w.seq, "seq", 0, "seq of the checkpoint (default: the newest)")
	}
}

// folder is where the node keeps its part of the data.
func (w *which) folder() (string, error) {
	for _, dir := range []string{w.data, filepath.Join(w.data, "node")} {
		if info, err := os.Stat(filepath.Join(dir, "machines")); err == nil && info.IsDir() {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%s is not the data folder of a node: it has no folder 'machines'", w.data)
}

// open opens the node's checkpoints to be read.
func (w *which) open() (*store.Store, string, error) {
	dir, err := w.folder()
	if err != nil {
		return nil, "", err
	}
	s, err := store.OpenReadOnly(filepath.Join(dir, "state"))
	switch {
	case errors.Is(err, store.ErrInUse):
		return nil, "", fmt.Errorf("the node of %s is running and holds its checkpoints: stop it first, or copy from another node", dir)
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", fmt.Errorf("%s has no checkpoints yet", dir)
	case store.IsCorrupt(err):
		return nil, "", fmt.Errorf("checkpoints of %s cannot be read, their files are corrupt: %w", dir, err)
	}
	return s, dir, err
}

// find lists the checkpoints that are meant, oldest first by machine.
func (w *which) find(s *store.Store) (list []snapshot.Manifest, err error) {
	machines := []string{w.machine}
	if w.machine == "" {
		if machines, err = s.Machines(); err != nil {
			return nil, err
		}
	}
	for _, m := range machines {
		of, err := s.List(m)
		if err != nil {
			return nil, err
		}
		list = append(list, of...)
	}
	return list, nil
}

// one finds the one checkpoint that is meant.
func (w *which) one(s *store.Store) (snapshot.Manifest, error) {
	list, err := w.find(s)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	var found *snapshot.Manifest
	for i := range list {
		if w.machine == "" && list[i].Machine != list[0].Machine {
			return snapshot.Manifest{}, fmt.Errorf("there are checkpoints of several machines: say which with --machine: %w", errUsage)
		}
		if w.seq == 0 || list[i].Seq == ordering.Seq(w.seq) {
			found = &list[i]
		}
	}
	if found == nil {
		return snapshot.Manifest{}, fmt.Errorf("%s has no such checkpoint; 'lockstep checkpoint list' tells which there are", w.data)
	}
	return *found, nil
}

func checkpointListCommand(r *remote) *cobra.Command {
	var w which
	c := &cobra.Command{
		Use:   "list",
		Short: "List the checkpoints of a node, and those that were imported",
		RunE: func(c *cobra.Command, _ []string) (err error) {
			s, dir, err := w.open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			own, err := w.find(s)
			if err != nil {
				return err
			}
			list := []listed{}
			for _, man := range own {
				list = append(list, listedOf(man, false))
			}
			files, err := filepath.Glob(filepath.Join(dir, "imports", "*.checkpoint"))
			if err != nil {
				return err
			}
			for _, path := range files {
				man, err := headOf(path)
				if err != nil {
					return err
				}
				list = append(list, listedOf(man, true))
			}
			return r.show(c, list, func(out io.Writer) error { return writeList(out, list) })
		},
	}
	w.register(c, false)
	return c
}

func writeList(to io.Writer, list []listed) error {
	out := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "MACHINE\tEPOCH\tSEQ\tMEMORY\tROOT\t")
	for _, l := range list {
		note := ""
		if l.Imported {
			note = "imported"
		}
		_, _ = fmt.Fprintf(out, "%s\t%d\t%d\t%.1f MiB\t%s\t%s\n", l.Machine, l.Epoch, l.Seq, float64(l.Memory)/(1<<20), l.Root, note)
	}
	return out.Flush() // tells what failed above
}

func headOf(path string) (_ snapshot.Manifest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return snapshot.Manifest{}, fmt.Errorf("read imported checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r, err := archive.NewReader(f)
	if err != nil {
		return snapshot.Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return r.Head().Manifest, nil
}

func checkpointVerifyCommand(r *remote) *cobra.Command {
	var w which
	c := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Read checkpoints whole and check them against their roots",
		Long:  "Checks an exported file, or else every checkpoint of a node.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if len(args) == 1 {
				man, err := verifyFile(args[0], r.progress(c))
				if err != nil {
					return err
				}
				return r.show(c, []verified{{listedOf(man, false), ""}}, func(out io.Writer) error {
					_, err := fmt.Fprintf(out, "ok  %s: machine %s at epoch %d, seq %d\nroot  %s\n", args[0], man.Machine, man.Epoch, man.Seq, man.Root().Hex())
					return err
				})
			}
			s, dir, err := w.open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			list, err := w.find(s)
			if err != nil {
				return err
			}
			bad, all := 0, []verified{}
			for _, man := range list {
				v, line := verified{listedOf(man, false), ""}, "ok"
				if err := verifyStored(s, dir, man); err != nil {
					bad++
					v.Bad, line = err.Error(), "BAD  "+err.Error()
				}
				all = append(all, v)
				if !r.asJSON { // a line as soon as it is known: large states take long
					_, _ = fmt.Fprintf(c.OutOrStdout(), "machine %s, epoch %d, seq %d, root %s: %s\n", man.Machine, man.Epoch, man.Seq, man.Root().Hex(), line)
				}
			}
			if bad > 0 && r.asJSON {
				if err := printJSON(c.OutOrStdout(), all); err != nil {
					return err
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d checkpoints are bad; a node that starts takes an older one, or the state from other nodes", bad, len(list))
			}
			return r.show(c, all, func(out io.Writer) error {
				_, err := fmt.Fprintf(out, "%d checkpoints are whole\n", len(list))
				return err
			})
		},
	}
	w.register(c, false)
	return c
}

func verifyStored(s *store.Store, dir string, man snapshot.Manifest) error {
	if _, err := s.Verify(man); err != nil {
		return err
	}
	_, err := storedModule(dir, man)
	return err
}
