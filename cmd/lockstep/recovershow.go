package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"lockstep/audit"
	"lockstep/client/recovery"
	"lockstep/host/admin"
	"lockstep/host/epochs"
)

// recoveryRow is an epoch that began on an operator's word, as JSON has it.
type recoveryRow struct {
	Epoch  uint64   `json:"epoch"`
	Seq    uint64   `json:"after_seq"`
	From   string   `json:"from"`
	Voters []string `json:"voters"`
	Reason string   `json:"reason,omitempty"`
	Losses []string `json:"losses"`
}

func recoveryOf(r *epochs.Recovery) recoveryRow {
	return recoveryRow{uint64(r.Epoch), uint64(r.Base.Seq), string(r.Replica), texts(r.Voters), r.Reason, r.Losses()}
}

// String is the row on one line.
func (r recoveryRow) String() string {
	text := fmt.Sprintf("epoch %d began after seq %d on an operator's word, from %s with %s", r.Epoch, r.Seq, r.From, strings.Join(r.Voters, ", "))
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return strings.Join(append([]string{text}, r.Losses...), "; ")
}

// recoveriesOf are those that the replica that is furthest tells of.
func recoveriesOf(all []admin.Node) []epochs.Recovery {
	var best *admin.Machine
	for _, n := range all {
		for i := range n.Machine {
			if m := &n.Machine[i]; best == nil || m.Info.Epoch > best.Info.Epoch || m.Info.Epoch == best.Info.Epoch && m.Info.Seq > best.Info.Seq {
				best = m
			}
		}
	}
	if best == nil {
		return nil
	}
	return best.Info.Recoveries
}

// writeRecoveries has a line for each.
func writeRecoveries(w io.Writer, list []epochs.Recovery) error {
	for i := range list {
		if _, err := fmt.Fprintln(w, recoveryOf(&list[i])); err != nil {
			return err
		}
	}
	return nil
}

func texts(ids []audit.ReplicaID) []string {
	list := []string{}
	for _, id := range ids {
		list = append(list, string(id))
	}
	return list
}

func surveyOf(s *recovery.Survey) recoverySurvey {
	out := recoverySurvey{Machine: string(s.Machine), Ways: []recoveryWay{}}
	if s.Members.Operator != (audit.Operator{}) {
		out.Operator = operatorText(s.Members.Operator)
	}
	for i := range s.Replicas {
		r := &s.Replicas[i]
		_, voter := s.Members.Voter(r.ID)
		row := recoveryReplica{Node: string(r.ID), Voter: voter, Answers: true, Phase: r.Info.Phase.String(), Epoch: uint64(r.Info.Epoch), Seq: uint64(r.Info.Seq), Chain: fmt.Sprintf("%x", r.Info.Chain[:]), Why: r.Why}
		switch {
		case r.Stand != nil:
			row.Epoch, row.Seq, row.Chain = uint64(r.Stand.Last.Epoch), uint64(r.Stand.Last.Seq), fmt.Sprintf("%x", r.Stand.Last.Chain[:])
		case voter:
			row.Why = "its journal has lost what it once had, so that it can state nothing"
		}
		if n := len(r.Info.Stored); n > 0 {
			row.Stored, row.Root = uint64(r.Info.Stored[n-1].Seq), r.Info.Stored[n-1].Root.Hex()
		}
		out.Replicas = append(out.Replicas, row)
	}
	for _, id := range s.Silent {
		row := recoveryReplica{Node: string(id), Voter: true}
		if h, known := s.Heard[id]; known {
			row.Epoch, row.Seq, row.Chain, row.Ago = uint64(h.Stand.Last.Epoch), uint64(h.Stand.Last.Seq), fmt.Sprintf("%x", h.Stand.Last.Chain[:]), h.Ago.Seconds()
		}
		out.Replicas = append(out.Replicas, row)
	}
	slices.SortFunc(out.Replicas, func(a, b recoveryReplica) int { return strings.Compare(a.Node, b.Node) })
	for _, w := range s.Ways {
		out.Ways = append(out.Ways, recoveryWay{uint64(w.Last.Seq), texts(w.By)})
	}
	return out
}

func writeSurvey(to io.Writer, s recoverySurvey) error {
	t := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "NODE\tSTATE\tEPOCH\tSEQ\tCHAIN\tCHECKPOINT\tROOT")
	for _, r := range s.Replicas {
		state := r.Phase
		switch {
		case !r.Answers && r.Chain == "":
			_, _ = fmt.Fprintf(t, "%s\tdoes not answer, and nobody knows where it was\n", r.Node)
			continue
		case !r.Answers:
			state = fmt.Sprintf("does not answer, last heard %v ago", (time.Duration(r.Ago*1000) * time.Millisecond).Round(time.Second))
		case !r.Voter:
			state += ", no voter"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.12s\t%d\t%.12s\n", r.Node, state, r.Epoch, r.Seq, r.Chain, r.Stored, first(r.Root, "-"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range s.Replicas {
		if r.Why != "" {
			_, _ = fmt.Fprintf(to, "%s: %s\n", r.Node, r.Why)
		}
	}
	if len(s.Ways) > 1 {
		_, _ = fmt.Fprintln(to, "the replicas were given different logs:")
		for _, w := range s.Ways {
			_, _ = fmt.Fprintf(to, "  to seq %d: %s\n", w.Seq, strings.Join(w.Nodes, ", "))
		}
	}
	if s.Operator != "" {
		_, _ = fmt.Fprintf(to, "a recovery is to be signed with operator's key %s\n", s.Operator)
	}
	if p := s.Plan; p != nil {
		_, _ = fmt.Fprintf(to, "\n%s would go on after seq %d from %s, with %s. What that loses:\n", s.Machine, p.Seq, p.From, strings.Join(p.Voters, ", "))
		for _, loss := range p.Losses {
			_, _ = fmt.Fprintln(to, "-", loss)
		}
		if len(p.Losses) == 0 {
			_, _ = fmt.Fprintln(to, "- nothing that is known")
		}
	}
	return nil
}
