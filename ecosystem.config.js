// PM2 runs the service in production: `pm2 start ecosystem.config.js`, later `pm2 reload ...`.
// The processes read their settings from the environment and from the .env next to this file.

const path = require("node:path");

const common = {
  cwd: __dirname,
  env: {
    // the processes keep their counters in one folder, so that GET /metrics of any process covers
    // all; they create it, and remove the files of dead processes (docs/monitoring/README.md)
    PROMETHEUS_MULTIPROC_DIR:
      process.env.PROMETHEUS_MULTIPROC_DIR || path.join(__dirname, ".data", "metrics"),
  },
  script: ".venv/bin/mpanel-billing",
  interpreter: "none",
  exec_mode: "fork", // cluster mode is for Node only
  kill_timeout: 12000, // ms; both stop within 10 s
  exp_backoff_restart_delay: 200, // ms at first; a failing start does not spin
  max_memory_restart: "500M",
  wait_ready: true, // both report when they are ready
  listen_timeout: 15000, // ms to be ready
  merge_logs: true, // one file for all instances; each line is JSON with its time
};

module.exports = {
  apps: [
    {
      ...common,
      name: "tenant-billing",
      args: "serve",
      instances: 2, // they share PORT (SO_REUSEPORT): a reload replaces them one by one
    },
    {
      ...common,
      name: "tenant-billing-worker",
      args: "worker",
    },
  ],
};
