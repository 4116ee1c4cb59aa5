package config

import (
	"errors"
	"reflect"
	"regexp"
)

// flagFault is a fault that a package has found in its settings, which it calls by the names of their fields. The text has
// the names of the settings besides, which are all that a user knows.
type flagFault struct {
	text  string
	cause error
}

func (e *flagFault) Error() string { return e.text }
func (e *flagFault) Unwrap() error { return e.cause }

// fieldName is a word that may be the name of a field.
var fieldName = regexp.MustCompile(`\b[A-Z][A-Za-z]+\b`)

// inFlags returns the faults of a package's settings with the names of the settings; nil if there are none. in points to
// the struct that was checked.
func inFlags(rows []setting, in any, faults error) error {
	if faults == nil {
		return nil
	}
	keys := make(map[string]string)
	addKeys(keys, rows, reflect.ValueOf(in).Elem())
	return &flagFault{cause: faults, text: fieldName.ReplaceAllStringFunc(faults.Error(), func(word string) string {
		if key := keys[word]; key != "" {
			return word + " (" + key + ")"
		}
		return word
	})}
}

// addKeys notes which settings the fields of a struct, and of those in it, are. A name that two fields have stands for
// none: a wrong hint is worse than none.
func addKeys(keys map[string]string, rows []setting, in reflect.Value) {
	for i := range in.NumField() {
		field, name := in.Field(i), in.Type().Field(i).Name
		if !field.CanSet() {
			continue
		}
		for _, row := range rows {
			if row.at != field.Addr().Interface() {
				continue
			}
			if _, twice := keys[name]; twice {
				keys[name] = ""
			} else {
				keys[name] = row.key
			}
		}
		if field.Kind() == reflect.Struct {
			addKeys(keys, rows, field)
		}
	}
}

// checkParts has the packages check their settings.
func (s *Settings) checkParts() error {
	rows := table(s)
	faults := []error{
		inFlags(rows, &s.Gateway, s.Gateway.Check()), inFlags(rows, &s.Delivery, s.Delivery.Check()),
		inFlags(rows, &s.Mail, s.Mail.Check()), inFlags(rows, &s.Pools, s.Pools.Check()),
	}
	if !s.Embedded() { // the embedded one's address is known only when it runs
		faults = append(faults, inFlags(rows, &s.Store, s.Store.Check()), inFlags(rows, &s.Notifier, s.Notifier.Check()))
	}
	return errors.Join(faults...)
}
