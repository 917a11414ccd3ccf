package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"lockstep/host"
	"lockstep/host/daemon"
	"lockstep/wasmabi"
	"lockstep/wasmabi/instrument"
)

// bounds are the flags that say how much a guest may use.
type bounds struct {
	config *host.Config
	memory daemon.Size
}

func boundFlags(fs *pflag.FlagSet, config *host.Config) *bounds {
	b := &bounds{config: config}
	memoryFlag(fs, &b.memory)
	fs.Uint64Var(&config.InputGas, "gas", 0, fmt.Sprintf("bound on one input's gas (0: %d)", uint64(host.DefaultInputGas)))
	fs.Uint64Var(&config.QueryGas, "query-gas", 0, fmt.Sprintf("bound on one query's gas (0: %d)", uint64(host.DefaultQueryGas)))
	fs.Uint64Var(&config.LifecycleGas, "lifecycle-gas", 0, fmt.Sprintf("bound on the gas of init, and of save and load at an upgrade (0: %d)", uint64(host.DefaultLifecycleGas)))
	return b
}

// take puts the memory into the configuration.
func (b *bounds) take() (err error) {
	b.config.MaxMemory, err = memoryPages(b.memory)
	return err
}

func memoryFlag(fs *pflag.FlagSet, memory *daemon.Size) {
	fs.TextVar(memory, "memory", daemon.Size(0), "bound on the guest's memory (0: 256MiB)")
}

// memoryPages is a bound on memory as a configuration has it.
func memoryPages(memory daemon.Size) (uint32, error) {
	const page = 64 << 10
	if memory != 0 && memory < page {
		return 0, usage("--memory is %d bytes: a guest has pages of 64KiB", memory)
	}
	return uint32(min(memory/page, 1<<31)), nil
}

// guestConfig is how replicas instrument a guest of a machine with such a bound in pages; 0 is the one that machines have
// unless they are deployed with another.
func guestConfig(maxMemory uint32) instrument.Config {
	return instrument.Config{Contract: true, MaxMemoryPages: host.Config{MaxMemory: maxMemory}.Resolve(0).MaxMemory}
}

// anyMemory is for a guest whose machine, and so its bound, is not known here.
const anyMemory = wasmabi.MaxMemory - 1
