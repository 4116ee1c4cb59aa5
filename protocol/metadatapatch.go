package protocol

import "strings"

// A patch of metadata is what python's JSON patch on a flat object is in Zaqar: add, replace and remove of whole
// attributes. It is our own, and small, because what it changes must stay the client's bytes in the client's order, which
// the libraries for JSON patches re-encode and sort.

// patchOperations are the operations that a patch may have.
const patchOperations = "add, remove, replace"

// patchStep is one operation of a patch that was read.
type patchStep struct {
	op    string
	key   string
	value []byte
}

// CheckPatch says what is wrong with a JSON patch whatever the metadata are; nil for nothing.
func CheckPatch(patch []byte, lim *Limits) *Error {
	_, err := readPatch(patch, lim)
	return err
}

// ApplyPatch returns metadata, a JSON object, as patch, a JSON array of operations (RFC 6902) on paths like
// /metadata/KEY, leaves it: all of its operations are done or none. Attributes keep their order and their spelling; new
// ones come last. Replacing or removing an attribute that is not there is a conflict, 409, unless it is a reserved one.
// The outcome must be good metadata (CheckMetadata). Neither argument is changed.
func ApplyPatch(metadata, patch []byte, lim *Limits) ([]byte, *Error) {
	steps, err := readPatch(patch, lim)
	if err != nil {
		return nil, err
	}
	o, ok := readOrdered(metadata, lim)
	if !ok {
		return nil, errMetadataType
	}
	for _, step := range steps {
		if err := o.apply(step); err != nil {
			return nil, err
		}
	}
	patched := o.append(make([]byte, 0, len(metadata)+len(patch)))
	if _, err := CheckMetadata(patched, lim); err != nil {
		told := *err
		return nil, told.told(titleBody, "")
	}
	return patched, nil
}

// apply does one operation.
func (o *orderedObject) apply(step patchStep) *Error {
	at, there := o.index[step.key]
	known := there || isReserved(step.key)
	switch {
	case step.op != "add" && !known:
		return patchConflict("Can't %s non-existent object %s.", step.op, bounded(step.key))
	case step.op != "remove":
		o.set(step.key, step.value)
	case there:
		o.attributes[at].gone = true
		delete(o.index, step.key)
	}
	return nil
}

// readPatch reads all operations of a patch.
func readPatch(patch []byte, lim *Limits) ([]patchStep, *Error) {
	s := scanner{data: patch, codec: JSON, maxDepth: lim.MaxDepth}
	if s.kind() != kindArray {
		return nil, errPatchType
	}
	var steps []patchStep
	it := s.enter()
	for s.next(&it) {
		if s.kind() != kindObject {
			return nil, errPatchItem
		}
		step, err := s.readStep()
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	if !s.finish() {
		return nil, errPatchType
	}
	return steps, nil
}

// readStep reads one operation, and judges it in the order in which the wire answers.
func (s *scanner) readStep() (step patchStep, err *Error) {
	var op, path patchMember
	var seen keySet
	it := s.enter()
	for {
		key, ok := s.nextKey(&it)
		if !ok {
			break
		}
		if !seen.add(key) {
			return step, patchError("An operation must not say %s twice.", pythonText(bounded(key)))
		}
		switch key {
		case "op":
			op = s.readMember()
		case "path":
			path = s.readMember()
		case "value":
			step.value = s.readMember().raw
		default:
			s.skip()
		}
	}
	if s.failed() {
		return step, errPatchType
	}
	return judgeStep(step, op, path)
}

// patchMember is a member of an operation that should be a string.
type patchMember struct {
	raw  []byte
	text string
	// isText says that it is one.
	isText bool
}

func (s *scanner) readMember() (m patchMember) {
	m.isText = s.kind() == kindString
	start := s.pos
	if m.isText {
		m.text = s.str()
	} else {
		s.skip()
	}
	m.raw = s.data[start:s.pos:s.pos]
	return m
}

func judgeStep(step patchStep, op, path patchMember) (patchStep, *Error) {
	step.op = op.text
	switch {
	case op.raw == nil:
		return step, patchError("Unable to find `op` in JSON Schema change. It must be one of the following: %s.", patchOperations)
	case step.op != "add" && step.op != "remove" && step.op != "replace":
		return step, patchError("Invalid operation: `%s`. It must be one of the following: %s.", op.shown(), patchOperations)
	case path.raw == nil:
		return step, patchError("Unable to find 'path' in JSON Schema change")
	case !path.isText:
		return step, patchError("Pointer `%s` does not start with \"/\".", path.shown())
	}
	parts, err := pointerParts(path.text)
	switch {
	case err != nil:
		return step, err
	case len(parts) != 2:
		return step, patchError("Invalid JSON pointer for this resource: '/%s, e.g /metadata/key'", bounded(strings.Join(parts, "/")))
	case step.op != "remove" && step.value == nil:
		return step, patchError(`Operation "%s" requires a member named "value".`, step.op)
	case !strings.EqualFold(parts[0], "metadata"):
		return step, errPatchRoot
	}
	step.key = parts[1]
	return step, nil
}

// shown is the member as an answer quotes it.
func (m patchMember) shown() string {
	if m.isText {
		return bounded(m.text)
	}
	return pythonValue(m.raw)
}

var pointerEscapes = strings.NewReplacer("~1", "/", "~0", "~")

// pointerParts splits a JSON pointer (RFC 6901).
func pointerParts(pointer string) ([]string, *Error) {
	fault := ""
	rest, rooted := strings.CutPrefix(pointer, "/")
	switch {
	case !rooted:
		fault = `does not start with "/"`
	case strings.Contains(rest, "//") || strings.HasPrefix(rest, "/"):
		fault = `contains adjacent "/"`
	case strings.HasSuffix(rest, "/"):
		fault = `end with "/"`
	case !validEscapes(rest):
		fault = `contains "~" not part of a recognized escape sequence`
	}
	if fault != "" {
		return nil, patchError("Pointer `%s` %s.", bounded(pointer), fault)
	}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		parts[i] = pointerEscapes.Replace(part)
	}
	return parts, nil
}

// validEscapes says whether every ~ is that of ~0 or ~1.
func validEscapes(pointer string) bool {
	for i := range len(pointer) {
		if pointer[i] == '~' && (i+1 == len(pointer) || pointer[i+1] != '0' && pointer[i+1] != '1') {
			return false
		}
	}
	return true
}
