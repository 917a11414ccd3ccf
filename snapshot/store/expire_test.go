package store

import (
	"slices"
	"testing"

	"lockstep/ordering"
)

func TestRetention(t *testing.T) {
	for _, c := range []struct {
		seqs   []ordering.Seq
		newest int
		agreed ordering.Seq
		want   []ordering.Seq
	}{
		{nil, 2, 0, nil},
		{[]ordering.Seq{10}, 2, 0, []ordering.Seq{10}},
		{[]ordering.Seq{10, 20, 30}, 2, 20, []ordering.Seq{20, 30}},
		{[]ordering.Seq{10, 20, 30}, 2, 30, []ordering.Seq{20, 30}},
		{[]ordering.Seq{10, 20, 30, 40}, 2, 10, []ordering.Seq{10, 30, 40}}, // the later ones may differ from the others'
		{[]ordering.Seq{10, 20, 30, 40}, 1, 29, []ordering.Seq{20, 40}},     // the one that was agreed on could not be saved here
		{[]ordering.Seq{10, 20, 30, 40}, 2, 0, []ordering.Seq{10, 30, 40}},  // not known since a start
		{[]ordering.Seq{10, 20, 30, 40}, 2, 5, []ordering.Seq{10, 30, 40}},  // nor is what came later
		{[]ordering.Seq{10, 20, 30, 40}, 2, 1 << 40, []ordering.Seq{30, 40}},
	} {
		k, got := Retention{Newest: c.newest, Agreed: c.agreed}, []ordering.Seq(nil)
		for i, keeps := range k.Keeps(c.seqs) {
			if keeps {
				got = append(got, c.seqs[i])
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v keeps %v of %v, want %v", k, got, c.seqs, c.want)
		}
	}
}
