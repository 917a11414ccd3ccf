// Package project is a guest's source folder: how it is built, and what a new
// one begins with. The folder has a file guest.toml:
//
//	# How lockstep builds this guest; run by sh in this folder.
//	build = "clang … -o counter.wasm counter.c"
//
//	# What the build writes.
//	wasm = "counter.wasm"
//
//	# What the guest takes and answers, put into the module once it is built; may be left out.
//	interface = "interface.json"
package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lockstep/cmd/lockstep/files"
	"lockstep/cmd/lockstep/settings"
	"lockstep/guests/description"
)

// File is the name of the file that makes a folder a project.
const File = "guest.toml"

// Project is a guest's source folder, or a module alone.
type Project struct {
	Dir string
	config
}

// config is what guest.toml says.
type config struct {
	Build string `toml:"build" comment:"How lockstep builds this guest; run by sh in this folder."`
	Wasm  string `toml:"wasm" comment:"What the build writes."`
	// Interface is a file, relative to the folder.
	Interface string `toml:"interface" comment:"What the guest takes and answers, put into the module once it is built."`
}

// Open opens a folder with a guest.toml, or a module that somebody else builds.
func Open(path string) (Project, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Project{}, fmt.Errorf("open guest: %w", err)
	}
	if !info.IsDir() {
		return Project{filepath.Dir(path), config{Wasm: filepath.Base(path)}}, nil
	}
	p := config{}
	file := filepath.Join(path, File)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return Project{}, fmt.Errorf("folder %s has no %s that says how to build it: 'lockstep new' makes one; or name a module", path, File)
	}
	if err := settings.File(&p, file); err != nil {
		return Project{}, err
	}
	if p.Wasm == "" {
		return Project{}, fmt.Errorf("%s: wasm is empty: name the file that the build writes", file)
	}
	return Project{path, p}, nil
}

// Module is the path of the built module.
func (p Project) Module() string { return filepath.Join(p.Dir, p.Wasm) }

// Make builds the module. The error has what the compiler said.
func (p Project) Make(ctx context.Context) error {
	if p.Build == "" {
		return nil
	}
	c := exec.CommandContext(ctx, "sh", "-c", p.Build)
	c.Dir = p.Dir
	if self, err := os.Executable(); err == nil {
		c.Env = append(os.Environ(), "LOCKSTEP="+self) // for languages whose build is in part this command's
	}
	c.WaitDelay = time.Second
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, strings.TrimSpace(said.String()))
	}
	if p.Interface == "" {
		return nil
	}
	return Describe(p.Module(), filepath.Join(p.Dir, p.Interface))
}

// Describe puts the interface description of a file into a module, in place of one that it has.
func Describe(module, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read interface description: %w", err)
	}
	wasm, err := os.ReadFile(module)
	if err != nil {
		return fmt.Errorf("read module: %w", err)
	}
	if wasm, err = description.Put(wasm, text); err != nil {
		return fmt.Errorf("put %s into %s: %w", file, module, err)
	}
	return files.Write(module, wasm)
}
