package main

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep/client"
	"lockstep/cmd/lockstep/files"
	"lockstep/cmd/lockstep/payload"
	"lockstep/guests/description"
)

// forms are how a command's input is typed and its output shown.
type forms struct{ in, out string }

func (f *forms) flags(fs *pflag.FlagSet) {
	fs.StringVarP(&f.in, "input", "i", "text", "form of the input: "+strings.Join(payload.Forms, ", ")+" (JSON travels as CBOR)")
	fs.StringVarP(&f.out, "output", "o", "auto", "form of the output: auto, raw, "+strings.Join(payload.Forms, ", "))
}

// read returns the bytes of the input argument, empty where there is none. A form
// that there is not is refused here, before anything is sent.
func (f *forms) read(c *cobra.Command, args []string) ([]byte, error) {
	if err := payload.CheckShown(f.out); err != nil {
		return nil, usage("%w", err)
	}
	if len(args) == 0 {
		return nil, nil
	}
	b, err := payload.Read(args[0], f.in, c.InOrStdin())
	if err != nil {
		return nil, usage("%w", err)
	}
	return b, nil
}

// shown is the form to show the output in: who asked in JSON is answered in JSON.
func (f *forms) shown() string {
	if f.out == "auto" && f.in == "json" {
		return "auto-json"
	}
	return f.out
}

// output is what a call answers, as JSON has it.
type output struct {
	Seq  uint64 `json:"seq"`
	Gas  uint64 `json:"gas"`
	Text string `json:"text,omitempty"` // where the output is printable
	Hex  string `json:"hex"`
	// JSON is the output as JSON, where the input was given so.
	JSON json.RawMessage `json:"json,omitempty"`
}

func (f *forms) outputOf(o client.Output) output {
	v := output{Seq: uint64(o.Seq), Gas: o.Gas, Hex: hex.EncodeToString(o.Bytes)}
	if payload.Printable(o.Bytes) {
		v.Text = string(o.Bytes)
	}
	if f.in == "json" || f.out == "json" {
		if text, err := description.ToJSON(o.Bytes); err == nil {
			v.JSON = text
		}
	}
	return v
}

const inputHelp = `INPUT is the input itself, @FILE for the contents of a file, or - for standard
input; without it the input is empty.`

func callCommand(r *remote) *cobra.Command {
	var f forms
	var proof string
	c := &cobra.Command{
		Use:   "call MACHINE [INPUT]",
		Short: "Send an input and print the output that a majority of voters agrees on",
		Long:  inputHelp,
		Example: `  lockstep call bank -i json '["deposit", "ann", 100]'
  lockstep call words abc
  lockstep call blobs @photo.jpg
  echo 0102 | lockstep call kv -i hex -`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
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
			out, err := cl.Call(ctx, input)
			if err != nil {
				return r.explainRejection(c, args[0], f, input, false, err)
			}
			if proof != "" {
				if err := files.Write(proof, out.Certificate()); err != nil {
					return err
				}
			}
			return r.show(c, f.outputOf(out), func(w io.Writer) error { return payload.Show(w, out.Bytes, f.shown()) })
		},
		ValidArgsFunction: r.completeMachines,
	}
	f.flags(c.Flags())
	c.Flags().StringVar(&proof, "certificate", "", "file to write the proof of the output to, for 'lockstep verify'")
	return c
}
