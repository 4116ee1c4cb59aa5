package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// machineTime is CPU time of the whole machine in ticks, zero where /proc does not tell.
type machineTime struct{ total, steal int64 }

// readMachineTime reads /proc/stat (proc(5)): user nice system idle iowait irq softirq steal.
func readMachineTime() machineTime {
	var t machineTime
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t
	}
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	for i := 1; i < len(fields) && i <= 8; i++ {
		v, _ := strconv.ParseInt(string(fields[i]), 10, 64)
		t.total += v
		if i == 8 {
			t.steal = v
		}
	}
	return t
}

// stealSince is the stolen share of the time since t, in percent.
func (t machineTime) stealSince() float64 {
	now := readMachineTime()
	if now.total == t.total {
		return 0
	}
	return 100 * float64(now.steal-t.steal) / float64(now.total-t.total)
}

// tickMicroseconds is the length of a tick of /proc/PID/stat: USER_HZ is 100 on every Linux that Go runs on.
const tickMicroseconds = 10_000

// processCPU is a process's user and system time in microseconds; 0 if it cannot be read.
func processCPU(pid int) int64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything; utime and stime are fields 14 and 15, the 12th and 13th behind it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	return (user + system) * tickMicroseconds
}

// residentBytes is a process's resident set.
func residentBytes(pid int) (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("memory of the gateway: %w", err)
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0, fmt.Errorf("memory of the gateway: /proc/%d/statm is %q", pid, statm)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
