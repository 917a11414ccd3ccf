package host

import (
	"fmt"

	"lockstep/audit"
	"lockstep/wasmabi"
)

// Config is what a machine's replicas must agree on besides its guest. It is
// part of the state. Zero values stand for the defaults.
type Config struct {
	_ struct{} `cbor:",toarray"`
	// Profile is the version of the instrumentation; 0 is the host's own.
	Profile uint32
	// MaxMemory is the guest's memory limit in Wasm pages of 64 KiB; 0 is
	// DefaultMaxMemory.
	MaxMemory uint32
	// InputGas bounds one input; 0 is DefaultInputGas.
	InputGas uint64
	// LifecycleGas bounds init, save and load each; 0 is DefaultLifecycleGas.
	LifecycleGas uint64
	// QueryGas bounds one query; 0 is DefaultQueryGas.
	QueryGas uint64
	// Mode says what faults the outputs are proof against; 0 is audit.Majority.
	Mode audit.Mode
	// AuditEvery is the number of entries between audits; 0 is DefaultAuditEvery.
	AuditEvery uint64
	// CheckpointEvery is the number of entries between checkpoints that need no
	// CHECKPOINT input; 0 is DefaultCheckpointEvery.
	CheckpointEvery uint64
	// Operator is whose word has the machine go on where its voters cannot say from where; zeros: nobody's key is asked
	// for. Like Mode it is the membership's.
	Operator audit.Operator
}

// Defaults of Config. One unit of gas is about one simple instruction.
const (
	DefaultMaxMemory       = 4096 // 256 MiB
	DefaultInputGas        = 500_000_000
	DefaultLifecycleGas    = 20_000_000_000
	DefaultQueryGas        = 100_000_000
	DefaultAuditEvery      = 128
	DefaultCheckpointEvery = 16_384
)

// Resolve returns c with the defaults filled in.
func (c Config) Resolve(profile uint32) Config {
	return c.inherit(Config{
		Profile: profile, MaxMemory: DefaultMaxMemory, InputGas: DefaultInputGas, LifecycleGas: DefaultLifecycleGas,
		QueryGas: DefaultQueryGas, Mode: audit.Majority, AuditEvery: DefaultAuditEvery, CheckpointEvery: DefaultCheckpointEvery,
	})
}

// inherit returns c with what it leaves open as in another config.
func (c Config) inherit(from Config) Config {
	c.Profile = or(c.Profile, from.Profile)
	c.MaxMemory = or(c.MaxMemory, from.MaxMemory)
	c.InputGas = or(c.InputGas, from.InputGas)
	c.LifecycleGas = or(c.LifecycleGas, from.LifecycleGas)
	c.QueryGas = or(c.QueryGas, from.QueryGas)
	c.Mode = or(c.Mode, from.Mode)
	c.AuditEvery = or(c.AuditEvery, from.AuditEvery)
	c.CheckpointEvery = or(c.CheckpointEvery, from.CheckpointEvery)
	c.Operator = or(c.Operator, from.Operator)
	return c
}

func or[T comparable](v, byDefault T) T {
	if v == *new(T) {
		return byDefault
	}
	return v
}

// maxGas keeps a limit within the counter, a signed 64-bit integer that may go
// below zero by the cost of one stretch of code.
const maxGas = 1 << 62

// Validate checks a resolved config.
func (c Config) Validate(profile uint32) error {
	switch {
	case c.Profile != profile:
		return fmt.Errorf("instrumentation profile is %d, this host has %d", c.Profile, profile)
	case c.MaxMemory >= wasmabi.MaxMemory:
		return fmt.Errorf("memory limit is %d pages, want less than %d", c.MaxMemory, wasmabi.MaxMemory)
	case c.InputGas > maxGas || c.LifecycleGas > maxGas || c.QueryGas > maxGas:
		return fmt.Errorf("gas limit is over %d", uint64(maxGas))
	case c.Mode < audit.Crash || c.Mode > audit.Signed:
		return fmt.Errorf("%v is unknown", c.Mode)
	}
	return nil
}
