package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/snapshot/transfer"
	"lockstep/wasmabi"
)

// prepare serves the module to the replicas until all voters hold it, or a
// majority does and the others take too long.
func (c *Client) prepare(ctx context.Context, wasm []byte, config host.Config, members audit.Members) ([]audit.Holding, error) {
	if len(wasm) > wasmabi.MaxModule {
		return nil, &RefusedError{host.RefusedModule, fmt.Sprintf("module has %d bytes, want at most %d", len(wasm), wasmabi.MaxModule)}
	}
	from := c.conn.NewRespInbox()
	served, err := transfer.Serve(ctx, c.conn, from, blob(wasm), nil, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = served.Unsubscribe() }() // fails only with the connection
	digest := host.ModuleDigest(wasm)
	return c.gatherHoldings(ctx, host.Prepare{Module: digest, Config: config, From: from}, digest, members)
}

// gatherHoldings asks the replicas to hold a module or a checkpoint, by its
// digest, until all voters do, or a majority does and the others cannot or take
// too long.
func (c *Client) gatherHoldings(ctx context.Context, request host.Prepare, what audit.Digest, members audit.Members) ([]audit.Holding, error) {
	h := holdings{machine: c.opts.Machine, what: what, members: members, answered: make(map[audit.ReplicaID]bool)}
	start := time.Now()
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	err := c.gather(waiting, host.PrepareSubject(c.opts.Machine), host.PrepareFormat.Encode(request), preparePatience, func(data []byte) bool {
		var p host.Prepared
		if host.PreparedFormat.Decode(data, &p) == nil && h.add(p) && len(h.held) == members.Majority() {
			time.AfterFunc(max(minorPatience, time.Since(start)), stop)
		}
		return h.decided()
	})
	switch {
	case h.refused != nil && len(h.held) < members.Majority(), h.full != nil:
		return nil, cmp.Or(h.full, h.refused)
	case err != nil && (ctx.Err() != nil || len(h.held) < members.Majority()):
		return nil, err
	case len(h.held) < members.Majority():
		return nil, fmt.Errorf("module or checkpoint is held by %d of %d voters, want %d: %w", len(h.held), members.Voters(), members.Majority(), errors.Join(h.failed, errTooFew))
	}
	return h.held, nil
}

// holdings are what voters answer that are asked to hold a module or a checkpoint, each once. It is pure.
type holdings struct {
	machine  string
	what     audit.Digest
	members  audit.Members
	answered map[audit.ReplicaID]bool
	held     []audit.Holding
	refused  error // the module is at fault, as one of them says
	full     error // one that is to found the machine has no room
	failed   error
}

// add takes an answer, and reports whether it is a holding. What is not signed by a voter counts for nothing.
func (h *holdings) add(p host.Prepared) bool {
	by := p.Holding.Replica
	key, voter := h.members.Voter(by)
	if !voter || h.answered[by] || p.Holding.Machine != h.machine || p.Holding.Module != h.what || !p.Verify(key) {
		return false
	}
	h.answered[by] = true
	reason := fmt.Errorf("%.1000s", p.Error)
	switch {
	case p.Refused:
		h.refused = &RefusedError{host.RefusedModule, strings.TrimPrefix(reason.Error(), host.ErrModuleRefused.Error()+": ")}
	case p.NoRoom && h.members.Seq == 0: // it was chosen, and would stand still
		h.full = reason
	case p.Error != "":
		h.failed = reason
	case p.Holding.Verify(key) == nil:
		h.held = append(h.held, p.Holding)
		return true
	}
	return false
}

// decided tells that no further answer changes anything: all have come, one who is to found the machine cannot, or so many refuse
// that there is no majority. One alone, that lies, keeps nobody from an upgrade.
func (h *holdings) decided() bool {
	voters := h.members.Voters()
	return h.full != nil || len(h.answered) == voters || voters-(len(h.answered)-len(h.held)) < h.members.Majority()
}

var errTooFew = errors.New("not enough replicas answered in time")

// blob serves one module to whoever asks for it by its digest.
func blob(wasm []byte) transfer.Blobs {
	return func(d audit.Digest) ([]byte, error) {
		if host.ModuleDigest(wasm) != d {
			return nil, transfer.ErrNotHere
		}
		return wasm, nil
	}
}
