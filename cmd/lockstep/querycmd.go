package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/cmd/lockstep/payload"
	"lockstep/host"
	"lockstep/host/epochs"
	"lockstep/host/protocol"
	"lockstep/ordering"
)

var modes = map[string]client.Mode{"linearizable": client.Linearizable, "stale": client.Stale, "voted": client.Voted}

func queryCommand(r *remote) *cobra.Command {
	var f forms
	var mode string
	var from uint64
	c := &cobra.Command{
		Use:   "query MACHINE [INPUT]",
		Short: "Ask a machine without putting anything into its log",
		Long: `Runs the guest's lockstep_query on the state that a replica has, and undoes whatever
it changes. How sure the answer is:

  linearizable  one replica, which a majority confirms not to be behind
  stale         one replica, at once
  voted         a majority at the same seq with the same output

` + inputHelp,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			m, ok := modes[mode]
			if !ok {
				return usage("mode is %q: want linearizable, stale or voted", mode)
			}
			input, err := f.read(c, args[1:])
			if err != nil {
				return err
			}
			ctx, cancel := r.within(c)
			defer cancel()
			cl, done, err := r.session(ctx, args[0])
			if err != nil {
				return err
			}
			defer done()
			out, err := cl.QueryFrom(ctx, input, m, ordering.Seq(from))
			if err != nil {
				return r.explainRejection(c, args[0], f, input, true, err)
			}
			return r.show(c, f.outputOf(out), func(w io.Writer) error { return payload.Show(w, out.Bytes, f.shown()) })
		},
		ValidArgsFunction: r.completeMachines,
	}
	f.flags(c.Flags())
	c.Flags().StringVarP(&mode, "mode", "m", "linearizable", "linearizable, stale or voted")
	c.Flags().Uint64Var(&from, "from", 0, "want a state that holds the entry at this seq")
	return c
}

func subscribeCommand(r *remote) *cobra.Command {
	var out string
	var from uint64
	var count int
	c := &cobra.Command{
		Use:   "subscribe MACHINE",
		Short: "Print the events that a guest emits, as a majority of voters states them",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := payload.CheckShown(out); err != nil {
				return usage("%w", err)
			}
			if count < 0 {
				return usage("--count is %d, want 0 or more", count)
			}
			opening, cancel := r.within(c)
			defer cancel()
			cl, done, err := r.session(opening, args[0])
			if err != nil {
				return err
			}
			defer done()
			sub, err := cl.Subscribe(opening, ordering.Seq(from))
			if err != nil {
				return err
			}
			defer func() { _ = sub.Close() }() // the session ends with it
			for n := 0; count == 0 || n < count; n++ {
				e, err := sub.Next(c.Context())
				if err != nil {
					return err
				}
				if err := r.writeEvent(c, e, out); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: r.completeMachines,
	}
	c.Flags().StringVarP(&out, "output", "o", "auto", "form of the events: auto, raw, text, hex, base64 or json")
	c.Flags().Uint64Var(&from, "from", 0, "seq of the first entry whose events to print (0: from now on)")
	c.Flags().IntVarP(&count, "count", "n", 0, "end after so many events (0: never)")
	return c
}

// writeEvent prints an event: a line of JSON, or its bytes behind its place.
func (r *remote) writeEvent(c *cobra.Command, e client.Event, form string) error {
	w := c.OutOrStdout()
	if r.asJSON {
		v := struct {
			Seq   uint64 `json:"seq"`
			Index int    `json:"index"`
			Text  string `json:"text,omitempty"`
			Hex   string `json:"hex"`
		}{uint64(e.Seq), e.Index, "", hex.EncodeToString(e.Data)}
		if payload.Printable(e.Data) {
			v.Text = string(e.Data)
		}
		return json.NewEncoder(w).Encode(v)
	}
	if form != "raw" {
		if _, err := fmt.Fprintf(w, "%d.%d  ", e.Seq, e.Index); err != nil {
			return err
		}
	}
	return payload.Show(w, e.Data, form)
}

func verifyCommand(r *remote) *cobra.Command {
	var machine, members string
	c := &cobra.Command{
		Use:   "verify PROOF --members FILE",
		Short: "Check the proof that voters stated an output, or that a replica was at fault",
		Long: `Checks a certificate ('call --certificate FILE' writes one) or evidence of a replica's
fault ('evidence MACHINE --write FOLDER' writes it), in a file or, with -, on standard
input, by the membership that a file has, which 'status MACHINE --members FILE' writes:
then nobody is asked. With --machine alone the membership is that which the machine has now.

A machine that was recovered (see 'lockstep recover') may have lost outputs that were proven:
with --machine it is asked about that, and a proof of a lost output fails with exit code 1.`,
		Example: `  lockstep status kv --members voters
  lockstep call kv abc --certificate proof
  lockstep verify proof --members voters`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if machine == "" && members == "" {
				return usage("say whose voters you trust: --members FILE, or --machine MACHINE to ask it")
			}
			proof, err := readProof(c.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			voters, err := r.voters(c, machine, members)
			if err != nil {
				return err
			}
			switch {
			case audit.EvidenceFormat.Match(proof):
				return r.verifyEvidence(c, proof, voters)
			case !protocol.CertificateFormat.Match(proof):
				return fmt.Errorf("%s is no proof, as 'lockstep call --certificate FILE' and 'lockstep evidence --write FOLDER' write it", args[0])
			}
			return r.verifyOutput(c, proof, voters, machine)
		},
	}
	c.Flags().StringVar(&members, "members", "", "file with the membership to check by")
	c.Flags().StringVar(&machine, "machine", "", "machine whose membership to check by")
	return c
}

func readProof(stdin io.Reader, path string) ([]byte, error) {
	const most = 64 << 20
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read proof: %w", err)
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	proof, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, fmt.Errorf("read proof: %w", err)
	}
	return proof, nil
}

// voters reads a membership from a file, or asks the machine.
func (r *remote) voters(c *cobra.Command, machine, path string) (audit.Members, error) {
	var m audit.Members
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return m, fmt.Errorf("read membership: %w", err)
		}
		if err := host.MembersFormat.Decode(text, &m); err != nil {
			return m, fmt.Errorf("%s is no membership, as 'lockstep status MACHINE --members FILE' writes it: %w", path, err)
		}
		return m, nil
	}
	ctx, cancel := r.within(c)
	defer cancel()
	cl, done, err := r.session(ctx, machine)
	if err != nil {
		return m, err
	}
	defer done()
	return cl.Members(ctx)
}

// recoveries are the epochs of a machine, "" for none, that began on an operator's word.
func (r *remote) recoveries(c *cobra.Command, machine string) ([]epochs.Recovery, error) {
	if machine == "" {
		return nil, nil
	}
	ctx, cancel := r.within(c)
	defer cancel()
	cl, done, err := r.session(ctx, machine)
	if err != nil {
		return nil, err
	}
	defer done()
	return cl.Recoveries(ctx)
}

// verifyOutput checks a certificate, and asks the machine, if one is named, whether it has lost what is proven.
func (r *remote) verifyOutput(c *cobra.Command, proof []byte, voters audit.Members, machine string) error {
	stated, err := client.Verify(proof, voters)
	if err != nil {
		return err
	}
	recoveries, err := r.recoveries(c, machine)
	if err != nil {
		return err
	}
	return r.verified(c, stated, recoveries)
}

func (r *remote) verified(c *cobra.Command, stated client.Certified, recoveries []epochs.Recovery) error {
	rows := []recoveryRow{}
	for i := range recoveries {
		rec := &recoveries[i]
		if rec.Lost(stated.Epoch, stated.Seq, stated.Voters) {
			return fmt.Errorf("the voters did state it, and it is lost: seq %d of epoch %d is not in the log any more, for %v", stated.Seq, stated.Epoch, recoveryOf(rec))
		}
		rows = append(rows, recoveryOf(rec))
	}
	v := struct {
		Machine string `json:"machine"`
		Epoch   uint64 `json:"epoch"`
		Seq     uint64 `json:"seq"`
		Chain   string `json:"chain"`
		Client  string `json:"client"`
		Inputs  int    `json:"inputs"`
		Voters  string `json:"voters"`
		// Recoveries are those that the machine, if it was asked, tells of.
		Recoveries []recoveryRow `json:"recoveries,omitempty"`
	}{stated.Machine, uint64(stated.Epoch), uint64(stated.Seq), fmt.Sprintf("%x", stated.Chain[:]), stated.Client.String(), len(stated.Receipts), join(stated.Voters), rows}
	return r.show(c, v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "valid: %s stated the outputs of %s at seq %d, %d inputs of client %s\n", v.Voters, v.Machine, v.Seq, v.Inputs, v.Client)
		return errors.Join(err, writeRecoveries(w, recoveries))
	})
}
