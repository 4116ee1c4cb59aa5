//go:build !linux

package bench

import (
	"context"
	"errors"
)

// errLinux is what every mode says elsewhere: the load generator is made of epoll.
var errLinux = errors.New("the load generator needs Linux; run it there with --url")

// Post is not supported on this system.
func Post(context.Context, Config) (*Result, error) { return nil, errLinux }

// Claim is not supported on this system.
func Claim(context.Context, Config) (*Result, error) { return nil, errLinux }

// Mixed is not supported on this system.
func Mixed(context.Context, Config) (*Result, error) { return nil, errLinux }

// Fanout is not supported on this system.
func Fanout(context.Context, Config) (*Result, error) { return nil, errLinux }

// Latency is not supported on this system.
func Latency(context.Context, Config) (*Result, error) { return nil, errLinux }

// Idle is not supported on this system.
func Idle(context.Context, Config) (*Result, error) { return nil, errLinux }

// EchoRate is not supported on this system.
func EchoRate(context.Context, Config) (float64, error) { return 0, errLinux }

// EchoLatency is not supported on this system.
func EchoLatency(context.Context, Config) (float64, error) { return 0, errLinux }

// EchoMemory is not supported on this system.
func EchoMemory(context.Context, Config) (float64, error) { return 0, errLinux }
