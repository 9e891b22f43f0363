// Package faulttest holds the tests of what goes wrong: bad input, hostile
// clients, killed processes and lost power, each in real containers. It is
// only tests; docs/exits.md is the table that they hold the product to.
package faulttest
