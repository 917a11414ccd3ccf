package embedded

import (
	"io/fs"
	"path/filepath"
)

// room bounds a server that is given no bound, in bytes; 0 leaves it to nats-server, where nobody knows how much is free. nats-server
// counts only what is left: a server that keeps much would have less room each time that it starts, until it could
// reserve none for what it keeps already, and none for the log of a next epoch.
func room(dir string, free func(dir string) int64) int64 {
	left := free(dir)
	if left < 0 {
		return 0
	}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // gone meanwhile, or not there yet
		}
		if in, err := d.Info(); err == nil {
			left += in.Size()
		}
		return nil
	})
	return max(left/4*3, 1)
}
