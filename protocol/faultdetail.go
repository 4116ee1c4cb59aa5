package protocol

import "errors"

// FaultDetail is an error of faults.go with what a client may be told of it besides.
type FaultDetail struct {
	// Fault is the error.
	Fault error
	// Detail is what it is about: the name of what does not exist, or what is wrong with a pool's URI. It holds no password.
	Detail string
}

// Error returns the fault with its detail.
func (e *FaultDetail) Error() string { return e.Fault.Error() + ": " + e.Detail }

// Unwrap returns the fault.
func (e *FaultDetail) Unwrap() error { return e.Fault }

// DetailOf returns the detail of err; "" if it has none.
func DetailOf(err error) string {
	if e, ok := errors.AsType[*FaultDetail](err); ok {
		return e.Detail
	}
	return ""
}
