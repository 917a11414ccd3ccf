package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"lockstep/host"
	"lockstep/host/daemon"
)

// bounds are the flags that say how much a guest may use.
type bounds struct {
	config *host.Config
	memory daemon.Size
}

func boundFlags(fs *pflag.FlagSet, config *host.Config) *bounds {
	b := &bounds{config: config}
	fs.TextVar(&b.memory, "memory", daemon.Size(0), "bound on the guest's memory (0: 256MiB)")
	fs.Uint64Var(&config.InputGas, "gas", 0, fmt.Sprintf("bound on one input's gas (0: %d)", uint64(host.DefaultInputGas)))
	fs.Uint64Var(&config.QueryGas, "query-gas", 0, fmt.Sprintf("bound on one query's gas (0: %d)", uint64(host.DefaultQueryGas)))
	fs.Uint64Var(&config.LifecycleGas, "lifecycle-gas", 0, fmt.Sprintf("bound on the gas of init, and of save and load at an upgrade (0: %d)", uint64(host.DefaultLifecycleGas)))
	return b
}

// take puts the memory into the configuration, in pages.
func (b *bounds) take() error {
	const page = 64 << 10
	if b.memory != 0 && b.memory < page {
		return usage("--memory is %d bytes: a guest has pages of 64KiB", b.memory)
	}
	b.config.MaxMemory = uint32(min(b.memory/page, 1<<31))
	return nil
}
