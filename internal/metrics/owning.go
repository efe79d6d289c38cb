package metrics

import "github.com/socketflow/socketflow/internal/process"

// owningProcesses gives numbers to the processes that have ends.
type owningProcesses struct {
	all     []owningProcess // by number
	numbers map[*process.Info]uint32
	free    []uint32
}

type owningProcess struct {
	info *process.Info
	ends int
}

// take is the number of a process that has one more end.
func (p *owningProcesses) take(info *process.Info) uint32 {
	number, known := p.numbers[info]
	if !known {
		if last := len(p.free) - 1; last >= 0 {
			number, p.free = p.free[last], p.free[:last]
		} else {
			number = uint32(len(p.all))
			p.all = append(p.all, owningProcess{})
		}
		p.all[number].info, p.numbers[info] = info, number
	}
	p.all[number].ends++
	return number
}

// release notes that a process has one end less.
func (p *owningProcesses) release(number uint32) {
	o := &p.all[number]
	if o.ends--; o.ends == 0 {
		delete(p.numbers, o.info)
		o.info = nil
		p.free = append(p.free, number)
	}
}
