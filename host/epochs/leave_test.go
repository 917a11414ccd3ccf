package epochs

import (
	"fmt"
	"testing"

	"lockstep/audit"
	"lockstep/ordering"
)

func TestLeave(t *testing.T) {
	type wants = []ordering.Epoch
	for _, c := range []struct {
		voters int
		mode   audit.Mode
		p      Parting
		next   ordering.Epoch // 0: it stays
	}{
		{3, audit.Majority, Parting{Epoch: 1}, 0},
		{3, audit.Majority, Parting{Epoch: 1, Doubting: true}, 0},
		{3, audit.Majority, Parting{Epoch: 1, Wants: wants{1}}, 0},
		{3, audit.Majority, Parting{Epoch: 1, Wants: wants{900}}, 0},
		{3, audit.Signed, Parting{Epoch: 1, Wants: wants{900}, Lonely: true}, 0},
		{3, audit.Majority, Parting{Epoch: 1, Wants: wants{1, 1}}, 2},
		{3, audit.Majority, Parting{Epoch: 1, Wants: wants{3, 900}}, 3}, // of two one is right, and wants no less
		{3, audit.Majority, Parting{Epoch: 1, Wants: wants{1}, Doubting: true}, 2},
		{3, audit.Majority, Parting{Epoch: 1, Wants: wants{4}, Doubting: true}, 4},
		{5, audit.Signed, Parting{Epoch: 7, Wants: wants{9, 9}}, 0},
		{5, audit.Signed, Parting{Epoch: 7, Wants: wants{9, 9, 8}}, 8},
		{5, audit.Signed, Parting{Epoch: 7, Wants: wants{9}, Doubting: true}, 0},
		{5, audit.Signed, Parting{Epoch: 7, Wants: wants{9, 8}, Doubting: true}, 8},
		// Most are gone, and one that is left stops on an operator's word: nothing would be accepted here.
		{5, audit.Majority, Parting{Epoch: 7, Wants: wants{8}, Doubting: true, Lonely: true}, 8},
		{5, audit.Majority, Parting{Epoch: 7, Wants: wants{7}, Doubting: true, Lonely: true}, 0},
		{2, audit.Majority, Parting{Epoch: 1, Wants: wants{2}}, 2}, // no fault is borne
		{1, audit.Majority, Parting{Epoch: 1}, 0},
		{1, audit.Majority, Parting{Epoch: 1, Doubting: true}, 2},
		{3, audit.Crash, Parting{Epoch: 1, Wants: wants{2}}, 2},
		{3, audit.Crash, Parting{Epoch: 1, Doubting: true}, 2},
		{3, audit.Crash, Parting{Epoch: 1}, 0},
	} {
		panel := audit.Members{Mode: c.mode}
		for i := range c.voters {
			panel.List = append(panel.List, audit.Member{ID: audit.ReplicaID(fmt.Sprint(i)), Voter: true})
		}
		if next, leave := c.p.Leave(panel); next != c.next || leave != (c.next > 0) {
			t.Errorf("%d voters, %v, %+v: %d, %v, want %d", c.voters, c.mode, c.p, next, leave, c.next)
		}
	}
}
