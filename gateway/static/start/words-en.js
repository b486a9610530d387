/** What the start page's script says. What stands in the page itself is English already. */

export default {
  ready: "✓ ready",
  notReady: "▲ not ready",
  withKey: "with a key it says more",
  silent: "The gateway does not answer.",
  busLost: "the bus cannot be reached",
  monitorLost: (since) => `no word from the monitor${since ? ` since ${since}` : ""}`,
  followed: (state, name) => `${state}, followed by the monitor ${name}`,
  atOnce: (n) => `${n} calls at once`,
  states: {},
  again: (s) => `, again in ${s.toFixed(1)} s`,
  longer: (n) => ` … (${n} characters)`,
  copied: "Copied",
  noCopy: "Select and copy",
};
