package protocol_test

import (
	"testing"

	"lockstep/host/protocol"
)

func TestIsInbox(t *testing.T) {
	for subject, want := range map[string]bool{
		"_INBOX.x":                       true,
		"_INBOX.UDX.y.z":                 true,
		"_R_.x":                          true,
		"_GR_.abcdef.ghijkl._INBOX.x":    true,
		"":                               false,
		"_INBOX":                         false,
		"lockstep.b.in.1.input":          false,
		"lockstep._INBOX.in":             false,
		"$JS.API.STREAM.PURGE.S":         false,
		"_GR_.abcdef.ghijkl.lockstep.b":  false,
		"_GR_._INBOX.lockstep.b":         false,
		"_GR_.a.b._GR_.c.d.lockstep.b":   false,
		"_GR_.a.b._GR_.c.d._INBOX.never": false,
	} {
		if got := protocol.IsInbox(subject); got != want {
			t.Errorf("%q is an inbox: %v", subject, got)
		}
	}
}
