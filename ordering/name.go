package ordering

import "fmt"

// Name is a machine's name: 1 to 32 of a-z, 0-9 and '-', not beginning or
// ending with '-'. It is part of subjects, stream names and paths, so nothing
// that any of these treats specially is in it.
type Name string

// MaxName is the longest Name in bytes.
const MaxName = 32

// Validate says what is wrong with the name.
func (n Name) Validate() error {
	if len(n) == 0 || len(n) > MaxName {
		return fmt.Errorf("machine name %.40q has %d bytes, want 1 to %d", string(n), len(n), MaxName)
	}
	for i := range len(n) {
		switch c := n[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-' && i > 0 && i < len(n)-1:
		default:
			return fmt.Errorf("machine name %q: byte %q at %d is not allowed", string(n), c, i)
		}
	}
	return nil
}
