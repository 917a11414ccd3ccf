// Package durable writes what must be whole on the disk before anything is said of it.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// unnamed is what files are called that do not have their name yet.
const unnamed = ".new-*"

// WriteFile puts a file on the disk before it is seen under its name, where one that is there is replaced. A crash leaves
// the one or the other, and may leave what Sweep removes.
func WriteFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), unnamed)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already if all went well
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Sweep removes what crashes left unfinished in a folder and below. Nobody may write there meanwhile.
func Sweep(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if left, _ := filepath.Match(unnamed, d.Name()); left && d.Type().IsRegular() {
			return os.Remove(path)
		}
		return nil
	})
}

// SyncDir puts on the disk which files a folder has.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
