package main

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"lockstep/client"
	"lockstep/client/contexts"
	"lockstep/client/nodes"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// Exit codes. They are part of the interface: scripts branch on them.
const (
	exitOK          = 0
	exitFailed      = 1   // it ran, and what it was asked to do, show or check does not hold
	exitUsage       = 2   // wrong flag, argument or configuration
	exitGuest       = 3   // the guest rejected the input, trapped or ran out of gas: a majority says so
	exitOpen        = 4   // FAIL: no majority answered alike in time; the input may have been applied
	exitUnreachable = 5   // no server, node or machine answers, or none lets this user in; nothing was done
	exitInterrupt   = 130 // ctrl-C
)

// errUsage marks a mistake in the command line.
var errUsage = errors.New("see 'lockstep help'")

// errUnreachable marks a server that cannot be reached.
var errUnreachable = errors.New("nothing was done")

func exitCode(ctx context.Context, err error) int {
	var rejected *client.RejectedError
	var trapped *client.TrapError
	var open *client.FailError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage), errors.Is(err, contexts.ErrUnknown):
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupt
	case errors.As(err, &rejected), errors.As(err, &trapped), errors.Is(err, client.ErrOutOfGas):
		return exitGuest
	case errors.As(err, &open):
		return exitOpen
	case errors.Is(err, errUnreachable), errors.Is(err, nodes.ErrNone), errors.Is(err, client.ErrUnknownMachine), errors.As(err, new(*client.PermissionError)):
		return exitUnreachable
	}
	return exitFailed
}

// failure is an error as JSON has it.
type failure struct {
	Text   string `json:"text"`
	Exit   int    `json:"exit_code"`
	Status string `json:"status,omitempty"` // of the input: rejected, trapped, out of gas, refused or FAIL
	Code   uint32 `json:"code,omitempty"`   // the guest's
	Output string `json:"output_hex,omitempty"`
	Seq    uint64 `json:"seq,omitempty"` // of an input that was ordered and not answered
}

func failureOf(c *cobra.Command, err error, code int) failure {
	f := failure{Text: helped(c, explain(err)), Exit: code}
	var rejected *client.RejectedError
	var trapped *client.TrapError
	var refused *client.RefusedError
	var open *client.FailError
	switch {
	case errors.As(err, &rejected):
		f.Status, f.Code, f.Output = wasmabi.Rejected.String(), rejected.Code, hex.EncodeToString(rejected.Output)
	case errors.As(err, &trapped):
		f.Status = wasmabi.Trapped.String()
	case errors.Is(err, client.ErrOutOfGas):
		f.Status = wasmabi.OutOfGas.String()
	case errors.As(err, &refused):
		f.Status, f.Code = wasmabi.Refused.String(), uint32(refused.Refusal)
	case errors.As(err, &open):
		f.Status, f.Seq = "FAIL", uint64(open.Seq)
	}
	return f
}

// explain is the text of an error on one line, with what to do where that is
// known.
func explain(err error) string {
	text := strings.TrimSuffix(strings.TrimSpace(err.Error()), ": "+errUnreachable.Error())
	text = strings.ReplaceAll(text, ": "+contexts.ErrLogin.Error(), "")
	if errors.As(err, new(*client.PermissionError)) {
		text += "; operators' commands take the key that 'lockstep init' writes to admin.nk: --nkey FILE"
	}
	if errors.Is(err, client.ErrUnknownMachine) {
		text += "; 'lockstep status' lists the machines there are"
	}
	if refusal := (*instrument.Refusal)(nil); errors.As(err, &refusal) && refusal.Reason == instrument.TooMuchMemory {
		text += "; the bound is the machine's: 'lockstep deploy' and what tries a guest without a cluster have --memory"
	}
	if errors.Is(err, client.ErrOutOfGas) {
		text += "; the bound is the machine's: 'lockstep deploy' has --gas, --query-gas and --lifecycle-gas"
	}
	return text
}

// helped is the text with the help of the command that was called in place of that of all.
func helped(c *cobra.Command, text string) string {
	if !c.HasParent() {
		return text
	}
	return strings.Replace(text, errUsage.Error(), "see '"+strings.Replace(c.CommandPath(), " ", " help ", 1)+"'", 1)
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `0    it is done
1    it ran, and what it was asked to do, show or check does not hold
2    wrong flag, argument or configuration
3    the guest rejected the input, trapped or ran out of gas: a majority of voters says so, and nothing of it was kept
4    FAIL: no majority of voters answered alike in time; the input may have been applied, or may be yet
5    no server, node or machine answers, or none lets this user do it; nothing was done
130  interrupted by ctrl-C`,
	}
}
