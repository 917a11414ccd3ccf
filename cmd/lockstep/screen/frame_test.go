package screen

import (
	"strings"
	"testing"

	"lockstep/cmd/lockstep/screen/screentest"
)

func TestFrame(t *testing.T) {
	for name, tc := range map[string]struct {
		columns, rows int
		lines, want   string
	}{
		"fits":              {8, 4, "one\ntwo", "one\ntwo\n\n\n"},
		"nothing":           {8, 2, "", "\n\n"},
		"exactly":           {3, 2, "one\ntwo", "one\ntwo\n"},
		"too wide":          {4, 3, "12345678\nxyz", "1234\nxyz\n\n"},
		"too wide, unicode": {4, 2, "äöü→x", "äöü→\n\n"},
		"too many":          {20, 3, "1\n2\n3\n4\n5", "1\n2\n… and 3 lines more\n"},
		"last row":          {8, 1, "1", "1\n"},
		"too many for one":  {20, 1, "1\n2", "… and 2 lines more\n"},
	} {
		vt := screentest.New(tc.columns, tc.rows)
		_, _ = vt.Write([]byte(Open + Frame(strings.Split("something\nthat\nwas\nthere\nbefore", "\n"), Size{tc.columns, tc.rows})))
		_, _ = vt.Write([]byte(Frame(strings.Split(tc.lines, "\n"), Size{tc.columns, tc.rows})))
		if got := vt.Text(); got != tc.want {
			t.Errorf("%s: got\n%s, want\n%s", name, got, tc.want)
		}
		_, _ = vt.Write([]byte(Close))
		if left := vt.Left(); left != "" || strings.TrimSpace(vt.Text()) != "" {
			t.Errorf("%s: left %s and the text %q", name, left, vt.Text())
		}
	}
}
