package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/guests/examples/kv"
	"lockstep/host"
	"lockstep/host/node"
	"lockstep/ordering"
)

// auditEvery makes audits frequent enough to be seen at work in a minute.
const auditEvery = 64

// deploy makes the machine and measures it.
func (r *run) deploy(ctx context.Context, s *Step) error {
	if err := r.cluster.Host(ctx, machine); err != nil {
		return err
	}
	conn, err := r.cluster.Connect(ctx, "demo")
	if err != nil {
		return err
	}
	r.disconnect = conn.Close
	if r.client, err = client.Connect(ctx, client.Options{Machine: string(machine), Conn: conn, Logger: r.opts.Logger}); err != nil {
		return err
	}
	var voters []audit.ReplicaID
	for i := range r.cluster.Len() {
		voters = append(voters, r.cluster.Name(i))
	}
	began := time.Now()
	out, err := r.client.Deploy(ctx, kv.V1, host.Config{AuditEvery: auditEvery}, voters)
	if err != nil {
		return fmt.Errorf("deploy: %w", err)
	}
	deployed := time.Since(began)
	first, err := r.log(ctx)
	if err != nil {
		return err
	}
	l := startLoad(ctx, r.client, r.opts.Callers, int64(r.opts.Calls))
	stop := r.watch(ctx, 1, s.Name, l, int64(r.opts.Calls))
	l.wait()
	stop()
	last, err := r.log(ctx)
	if err != nil {
		return err
	}
	entries := last.Last - first.Last
	rate := float64(l.answered()) / l.took.Seconds()
	s.check(l.err() == nil, "calls failed: %v", l.err())
	s.check(l.answered() == int64(r.opts.Calls), "%d of %d calls were answered", l.answered(), r.opts.Calls)
	s.set("deploy_ms", millis(deployed))
	s.set("module_bytes", len(kv.V1))
	s.set("deploy_seq", uint64(out.Seq))
	s.set("calls", l.answered())
	s.set("callers", r.opts.Callers)
	s.set("calls_per_second", int(rate))
	s.set("p50_ms", millis(l.quantile(0.5)))
	s.set("p99_ms", millis(l.quantile(0.99)))
	s.set("entries", uint64(entries))
	s.say("deployed %s of Wasm (plain Go) in %s", size(uint64(len(kv.V1))), ms(deployed))
	s.say("%s puts and gets of %d bytes, %d callers: %s calls/s, p50 %s, p99 %s", count(l.answered()), valueSize,
		r.opts.Callers, count(int(rate)), ms(l.quantile(0.5)), ms(l.quantile(0.99)))
	s.say("in %s entries of the log, each fsynced by 2 of 3 servers; each output voted for by 2 of 3 replicas", count(uint64(entries)))
	// A checkpoint, so that every node has something on its disk.
	if _, err := r.client.Checkpoint(ctx); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return r.awaitStored(ctx, 3)
}

// kill takes away the node whose server leads the log, which is the worst one.
func (r *run) kill(ctx context.Context, s *Step) error {
	leader := -1
	if err := await(ctx, "a leader of the log", func() bool { leader = r.cluster.Leader(ctx, machine); return leader >= 0 }); err != nil {
		return err
	}
	r.killed = leader
	l := startLoad(ctx, r.client, r.opts.Callers, endless)
	defer l.stop()
	if err := r.awaitCalls(ctx, l, 500); err != nil {
		return err
	}
	before := l.answered()
	r.cluster.Kill(leader)
	if err := r.awaitCalls(ctx, l, 2000); err != nil {
		return err
	}
	l.stop()
	longest := l.quantile(1)
	s.check(l.err() == nil, "calls failed: %v", l.err())
	s.set("killed", string(r.cluster.Name(leader)))
	s.set("calls_before", before)
	s.set("calls_after", l.answered()-before)
	s.set("failed_calls", 0)
	s.set("longest_call_ms", millis(longest))
	s.say("%s, leader of the log, lost with every connection reset; %s calls went on, none failed", r.cluster.Name(leader), count(l.answered()-before))
	if r.opts.URLs == nil {
		s.say("longest call %s: the others elect another leader first", ms(longest))
	} else {
		s.say("longest call %s: the servers that keep the log are elsewhere and stay", ms(longest))
	}
	return nil
}

// checkpoint orders a checkpoint and sees the log cut.
func (r *run) checkpoint(ctx context.Context, s *Step) error {
	before, err := r.log(ctx)
	if err != nil {
		return err
	}
	out, err := r.client.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	var after ordering.State
	if err := await(ctx, "the log to be cut", func() bool {
		after, err = r.log(ctx)
		return err == nil && after.First >= out.Seq // the newest entry always stays
	}); err != nil {
		return err
	}
	kept := after.Last + 1 - after.First
	s.set("checkpoint_seq", uint64(out.Seq))
	s.set("entries_before", uint64(before.Last+1-before.First))
	s.set("entries_after", uint64(kept))
	s.say("at seq %s; the log had %s entries and has %s", count(uint64(out.Seq)), count(uint64(before.Last+1-before.First)), count(uint64(kept)))
	return nil
}

// restart brings the killed node back, behind the cut.
func (r *run) restart(ctx context.Context, s *Step) error {
	mark := r.mark()
	began := time.Now()
	if err := r.cluster.Restart(ctx, r.killed); err != nil {
		return err
	}
	id := r.cluster.Name(r.killed)
	if err := await(ctx, "the node to vote again", func() bool { return r.caughtUp(ctx, r.killed) }); err != nil {
		return err
	}
	took := time.Since(began)
	moved := r.since(mark, func(e node.Event) bool { return e.Kind == node.EventTransferred && e.Replica == id })
	s.check(len(moved) == 1, "%d transfers of state, want 1", len(moved))
	if len(moved) == 1 {
		r.sayTransfer(s, moved[0])
	}
	s.set("back_ms", millis(took))
	s.say("then followed the log from there; voting again %s after its start", ms(took))
	return nil
}

// sayTransfer tells what a transfer moved.
func (r *run) sayTransfer(s *Step, e node.Event) {
	s.set("pages", len(e.Pages))
	s.set("bytes", e.Bytes)
	s.set("state_bytes", e.Size)
	s.say("%s fetched the %s pages that differ, %s on the wire, of a state of %s, from %v",
		e.Replica, count(len(e.Pages)), size(e.Bytes), size(e.Size), e.From)
	s.check(e.Bytes < e.Size, "more bytes on the wire than the state has")
}

// flip changes one bit in the Wasm memory of one replica.
func (r *run) flip(ctx context.Context, s *Step) error {
	victim := (r.killed + 1) % 3
	id := r.cluster.Name(victim)
	replica := r.cluster.Node(victim).Replica(machine)
	mark := r.mark()
	l := startLoad(ctx, r.client, r.opts.Callers, endless)
	defer l.stop()
	// A text of the guest's own, which nothing writes to: a bit of the heap might
	// be overwritten before the next audit, and then there is nothing to find.
	page := -1
	if err := replica.Do(ctx, func(m *host.Machine) {
		if at := bytes.Index(m.Memory(), []byte("operation is unknown to v1")); at >= 0 {
			m.Live()[at] ^= 1 << 3
			page = at / 4096
		}
	}); err != nil {
		return err
	}
	if page < 0 {
		return errors.New("the guest's memory has no place for the bit to flip")
	}
	began := time.Now()
	if err := await(ctx, "the repair", func() bool {
		return len(r.since(mark, func(e node.Event) bool { return e.Kind == node.EventRejoined && e.Replica == id })) > 0
	}); err != nil {
		return err
	}
	took := time.Since(began)
	l.stop()
	noticed := r.since(mark, func(e node.Event) bool { return e.Kind == node.EventDiverged && e.Other == id })
	moved := r.since(mark, func(e node.Event) bool { return e.Kind == node.EventTransferred && e.Replica == id })
	s.check(l.err() == nil, "calls failed: %v", l.err())
	s.check(len(noticed) > 0, "no audit noticed it")
	s.check(len(moved) == 1, "%d transfers of state, want 1", len(moved))
	if len(noticed) == 0 || len(moved) != 1 {
		return nil
	}
	named := false
	for _, p := range moved[0].Pages {
		named = named || int(p) == page
	}
	s.check(named, "the page of the flipped bit, %d, is not among the pages that differ, %v", page, moved[0].Pages)
	s.set("replica", string(id))
	s.set("flipped_page", page)
	s.set("noticed_seq", uint64(noticed[0].Seq))
	s.set("differing_pages", moved[0].Pages)
	s.set("repair_ms", millis(took))
	s.say("one bit of page %d of %s; the audit at seq %s named %s, which stopped voting", page, id, count(uint64(noticed[0].Seq)), id)
	r.sayTransfer(s, moved[0])
	s.say("differing pages %v; voting again %s after the flip; no call failed", shorten(moved[0].Pages), ms(took))
	return nil
}

// shorten keeps a list readable.
func shorten(pages []uint32) string {
	if len(pages) <= 8 {
		return fmt.Sprint(pages)
	}
	return fmt.Sprintf("%v and %d more", pages[:8], len(pages)-8)
}

// upgrade replaces the guest under load.
func (r *run) upgrade(ctx context.Context, s *Step) error {
	if _, err := r.client.Call(ctx, kv.Count()); err == nil {
		s.check(false, "v1 knows the operation that v2 adds")
	}
	mark := r.mark()
	l := startLoad(ctx, r.client, r.opts.Callers, endless)
	defer l.stop()
	if err := r.awaitCalls(ctx, l, 500); err != nil {
		return err
	}
	began := time.Now()
	out, err := r.client.Upgrade(ctx, kv.V2)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	took := time.Since(began)
	if err := r.awaitCalls(ctx, l, 500); err != nil {
		return err
	}
	l.stop()
	switched := func() []node.Event {
		return r.since(mark, func(e node.Event) bool { return e.Kind == node.EventUpgraded })
	}
	if err := await(ctx, "all replicas to switch", func() bool { return len(switched()) >= 3 }); err != nil {
		return err
	}
	for _, e := range switched() {
		s.check(e.Seq == out.Seq, "%s switched at seq %d, not at %d", e.Replica, e.Seq, out.Seq)
	}
	s.check(l.err() == nil, "calls failed: %v", l.err())
	keys, err := r.client.Call(ctx, kv.Count())
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	n, err := kv.DecodeNumber(keys.Bytes)
	s.check(err == nil && n > 0, "v2 counts %d keys (%v)", n, err)
	s.set("switch_seq", uint64(out.Seq))
	s.set("replicas", len(switched()))
	s.set("keys", n)
	s.set("upgrade_ms", millis(took))
	s.set("longest_call_ms", millis(l.quantile(1)))
	s.say("all %d replicas switched at seq %s; no call of %s failed, the longest took %s", len(switched()), count(uint64(out.Seq)), count(l.answered()), ms(l.quantile(1)))
	s.say("v2 counts the %s keys that v1 had stored", count(n))
	return nil
}

// members grows the machine by one replica and shrinks it by another.
func (r *run) members(ctx context.Context, s *Step) error {
	l := startLoad(ctx, r.client, r.opts.Callers, endless)
	defer l.stop()
	mark := r.mark()
	added, err := r.cluster.Add(ctx)
	if err != nil {
		return fmt.Errorf("add node: %w", err)
	}
	joiner, leaver := r.cluster.Name(added), r.cluster.Name(r.killed)
	if _, err := r.cluster.Node(added).Host(ctx, machine); err != nil {
		return err
	}
	if err := await(ctx, "the new replica to follow", func() bool { return r.near(ctx, added) }); err != nil {
		return err
	}
	join, err := r.client.Join(ctx, joiner)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	quit, err := r.client.Quit(ctx, leaver)
	if err != nil {
		return fmt.Errorf("quit: %w", err)
	}
	if err := r.awaitCalls(ctx, l, 1000); err != nil {
		return err
	}
	l.stop()
	s.check(l.err() == nil, "calls failed: %v", l.err())
	members, err := r.client.Members(ctx)
	if err != nil {
		return err
	}
	_, in := members.Voter(joiner)
	_, stays := members.Voter(leaver)
	s.check(in && !stays && members.Voters() == 3, "membership is %v", members)
	s.set("joined", string(joiner))
	s.set("join_seq", uint64(join.Seq))
	s.set("quit", string(leaver))
	s.set("quit_seq", uint64(quit.Seq))
	s.set("calls", l.answered())
	for _, e := range r.since(mark, func(e node.Event) bool { return e.Kind == node.EventTransferred && e.Replica == joiner }) {
		r.sayTransfer(s, e)
	}
	s.say("%s votes from seq %s on, %s no longer from seq %s on; no call of %s failed", joiner, count(uint64(join.Seq)), leaver, count(uint64(quit.Seq)), count(l.answered()))
	return nil
}
