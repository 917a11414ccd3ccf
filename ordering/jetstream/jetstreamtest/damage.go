package jetstreamtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// CutBlocks cuts the message blocks of a stream in half, in the folder of a server that does not run.
func CutBlocks(t *testing.T, dir, stream string) {
	t.Helper()
	cut := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".blk") || !strings.Contains(path, "/"+stream+"/msgs/") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		cut++
		return os.Truncate(path, info.Size()/2)
	})
	if err != nil || cut == 0 {
		t.Fatalf("no blocks of %s were cut in %s: %v", stream, dir, err)
	}
}
