package audit

import "fmt"

// Mode is what faults a machine's outputs are proof against. It is part of the
// membership, since it says how votes count.
type Mode uint8

// The modes. Values are part of the wire format; never renumber. The zero Mode
// stands for Majority.
const (
	// Crash: replicas that stop. The first answer is accepted, nothing is
	// signed, and the log's word is taken for what is ordered.
	Crash Mode = 1
	// Majority: replicas that are wrong without meaning to be. A majority must
	// state the same.
	Majority Mode = 2
	// Signed: replicas and clients that lie. As Majority, and every input is
	// signed by its client.
	Signed Mode = 3
)

func (m Mode) String() string {
	names := [...]string{"majority", "crash", "majority", "signed"}
	if int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// ParseMode reads what String writes.
func ParseMode(s string) (Mode, error) {
	for m := Crash; m <= Signed; m++ {
		if m.String() == s {
			return m, nil
		}
	}
	return 0, fmt.Errorf("mode %q, want crash, majority or signed", s)
}
