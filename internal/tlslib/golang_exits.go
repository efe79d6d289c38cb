package tlslib

import "slices"

// deferral is how a function of Go runs the function that it has deferred right before it returns, with its result on the stack already.
type deferral struct {
	returns []uint64 // the RETs that follow
	depth   uint32   // how far the stack pointer is then below its value at the begin of the function
	result  uint32   // how far the result is below that value
}

// exits are where a function of Go ends: its RETs. Instead of those that follow a deferred function that function is probed, if the kernel emulates
// an instruction at its begin: a RET takes it several times as long.
func (t *goTable) exits(text uint64, b *body) (places []place, err error) {
	if len(b.returns) == 0 {
		return nil, errNoExit
	}
	d := t.im.machine.deferral(b)
	deferred, found, err := t.deferred(text, b, d)
	if err != nil {
		return nil, err
	}
	if found {
		places = append(places, deferred)
	}
	for _, at := range b.returns {
		if !found || !slices.Contains(d.returns, at) {
			places = append(places, place{at: at})
		}
	}
	if t.im.machine.goKept(b) {
		for i := range places {
			places[i].kept.Known = true
		}
	}
	return places, nil
}

// deferred is a place in the only function whose address a function has. If that is the jump to where the stack grows, it is hit once more when it is
// taken.
func (t *goTable) deferred(text uint64, b *body, d deferral) (p place, found bool, err error) {
	functions := slices.DeleteFunc(t.im.machine.texts(b), func(addr uint64) bool { return !t.isText(addr) })
	if functions = slices.Compact(functions); len(d.returns) == 0 || len(functions) != 1 || functions[0] < text {
		return place{}, false, nil
	}
	where, found, err := t.functionAt(functions[0] - text)
	if err != nil || !found {
		return place{}, false, err
	}
	code, err := t.im.goBody(span{text + where.begin, text + where.end})
	if err != nil {
		return place{}, false, nil //nolint:nilerr // the RETs are known
	}
	p = t.im.machine.enter(code, 0)
	i := code.instructions[p.at]
	if i == nil || !i.cheap {
		return place{}, false, nil
	}
	const returnAddress = 8
	return place{at: p.at, depth: d.depth + returnAddress + p.depth, result: d.result, goesOn: i.flow == branch}, true, nil
}
