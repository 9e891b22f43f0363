// Package upgradetest upgrades real clusters in real containers: every path
// between the majors, every layout, bad input, and a kill or a loss of power
// at every point of it. It holds tests only.
package upgradetest
