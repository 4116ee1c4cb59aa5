package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/alecthomas/kong"
)

// Flags are the settings as flags of a kong command: embed it in the command's struct, made by NewFlags.
type Flags struct {
	Config string `name:"config" placeholder:"FILE" env:"NUSKU_CONFIG" help:"Read settings from this TOML or YAML file: the flags' names without dashes in front, one a line."`
	kong.Plugins

	byKey map[string]reflect.Value // a *string or *bool for each key
}

// NewFlags returns flags for all settings of the table.
func NewFlags() Flags { return newFlags(table(DefaultSettings())) }

// NewDatabaseFlags returns flags for the settings that say which database to use, and for the log's. The others can
// still be set in the environment and in the file, so that one file serves all subcommands.
func NewDatabaseFlags() Flags {
	s := DefaultSettings()
	return newFlags(slices.Concat(databaseTable(s), postgresTable(s), logTable(s)))
}

func newFlags(settings []setting) Flags {
	fields := make([]reflect.StructField, len(settings))
	for i, s := range settings {
		typ, more := reflect.TypeFor[*string](), " placeholder:"+strconv.Quote(s.kind)
		if s.isSwitch() {
			typ, more = reflect.TypeFor[*bool](), ` negatable:""`
		}
		fields[i] = reflect.StructField{
			Name: fmt.Sprintf("Setting%d", i),
			Type: typ,
			Tag: reflect.StructTag(fmt.Sprintf("name:%q group:%q help:%s%s",
				s.key, s.group, strconv.Quote(s.description()), more)),
		}
	}
	values := reflect.New(reflect.StructOf(fields))
	flags := Flags{Plugins: kong.Plugins{values.Interface()}, byKey: make(map[string]reflect.Value)}
	for i, s := range settings {
		flags.byKey[s.key] = values.Elem().Field(i)
	}
	return flags
}

// lookup returns what was said on the command line about a setting.
func (f *Flags) lookup(key string) (text string, ok bool) {
	v, ok := f.byKey[key]
	if !ok || v.IsNil() {
		return "", false
	}
	return fmt.Sprint(v.Elem().Interface()), true
}
