package protocol

import (
	"strings"
	"unicode/utf8"
)

// The bounds of what describes pools and flavors: Zaqar's.
const (
	maxPoolName = 64
	maxPoolURI  = 255
	maxWeight   = 1<<32 - 1
)

// checkAdminName checks the name of a pool or of a flavor, what. Such names have the characters of queues' names, so that
// they can stand in a path as they are.
func checkAdminName(what, name string) *Error {
	if utf8.RuneCountInString(name) > maxPoolName {
		return errAdminNameLength(what, maxPoolName)
	}
	if !ValidQueueName(name) {
		return errAdminName(what)
	}
	return nil
}

func checkPoolName(r *Request, _ *Limits) *Error { return checkAdminName("Pool", r.Fields.PoolName) }

// checkOtherPool is for changes, which the default pool does not take; fixed says so.
func checkOtherPool(r *Request, lim *Limits, fixed *Error) *Error {
	if r.Fields.PoolName == DefaultPool {
		return fixed
	}
	return checkPoolName(r, lim)
}

func checkPoolDelete(r *Request, lim *Limits) *Error { return checkOtherPool(r, lim, errDefaultDelete) }

func checkPoolList(r *Request, lim *Limits) *Error {
	if !inRange(&r.Fields, FieldLimit, &r.Fields.Limit, lim.DefaultPage, lim.MaxPoolsPerPage) {
		return errQueueLimit(lim.MaxPoolsPerPage)
	}
	return checkMarker(r)
}

func checkPoolCreate(r *Request, lim *Limits) *Error {
	f := &r.Fields
	if err := checkOtherPool(r, lim, errDefaultCreate); err != nil {
		return err
	}
	switch {
	case !f.Set.Has(FieldURI):
		return errRequired("uri")
	case !f.Set.Has(FieldWeight):
		return errRequired("weight")
	}
	return checkPool(f, lim)
}

func checkPoolUpdate(r *Request, lim *Limits) *Error {
	f := &r.Fields
	if err := checkOtherPool(r, lim, errDefaultUpdate); err != nil {
		return err
	}
	if f.Set&poolFields == 0 {
		return errNothingOfPool
	}
	return checkPool(f, lim)
}

// checkPool checks the fields of a pool that were sent.
func checkPool(f *Fields, lim *Limits) *Error {
	if err := checkPoolURI(f); err != nil {
		return err
	}
	if f.Set.Has(FieldWeight) && f.Weight < 0 {
		return errBelow(f.Weight, 0)
	}
	if f.Set.Has(FieldWeight) && f.Weight > maxWeight {
		return errAbove(f.Weight, maxWeight)
	}
	if len(f.Options) > lim.MaxOptionsBytes {
		return errOptionsSize("pool", lim.MaxOptionsBytes)
	}
	if err := checkListen(f.Options); err != nil {
		return err
	}
	if f.Flavor != "" { // an empty one takes the pool out of its flavor
		return checkAdminName("Flavor", f.Flavor)
	}
	return nil
}

// checkPoolURI checks the form of a pool's URI. Whether a database is there shows when it is connected to. No answer
// quotes a URI, for it may hold a password.
func checkPoolURI(f *Fields) *Error {
	switch {
	case !f.Set.Has(FieldURI):
		return nil
	case len(f.URI) > maxPoolURI:
		return errURILength("uri", maxPoolURI)
	case strings.IndexByte(f.URI, 0) >= 0:
		return errFieldNUL("uri")
	}
	return nil
}

func checkFlavorName(r *Request, _ *Limits) *Error {
	return checkAdminName("Flavor", r.Fields.FlavorName)
}

func checkFlavorList(r *Request, lim *Limits) *Error {
	if !inRange(&r.Fields, FieldLimit, &r.Fields.Limit, lim.DefaultPage, lim.MaxFlavorsPerPage) {
		return errQueueLimit(lim.MaxFlavorsPerPage)
	}
	return checkMarker(r)
}

func checkFlavorCreate(r *Request, lim *Limits) *Error {
	if err := checkFlavorName(r, lim); err != nil {
		return err
	}
	if !r.Fields.Set.Has(FieldPoolList) {
		return errRequired("pool_list")
	}
	return checkPoolNames(&r.Fields)
}

func checkFlavorUpdate(r *Request, lim *Limits) *Error {
	if err := checkFlavorName(r, lim); err != nil {
		return err
	}
	if !r.Fields.Set.Has(FieldPoolList) {
		return errNothingOfFlavor
	}
	return checkPoolNames(&r.Fields)
}

// checkPoolNames checks a flavor's list of pools. A name that no pool can have is that of a pool that does not exist.
func checkPoolNames(f *Fields) *Error {
	if len(f.PoolList) == 0 {
		return errNoPools
	}
	for _, name := range f.PoolList {
		if err := checkAdminName("Pool", name); err != nil {
			return err
		}
		if name == DefaultPool {
			return errDefaultFlavor
		}
	}
	return nil
}
