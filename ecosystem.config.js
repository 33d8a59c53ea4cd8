// PM2 runs the service in production: `pm2 start ecosystem.config.js`, later `pm2 reload ...`.
// The processes read their settings from the environment and from .env beside this file.

const path = require("node:path");

const common = {
  cwd: __dirname,
  env: {
    // the processes count into one folder, so that any of them answers GET /metrics for all; they
    // make it, and clear up after those that are gone (docs/monitoring/README.md)
    PROMETHEUS_MULTIPROC_DIR:
      process.env.PROMETHEUS_MULTIPROC_DIR || path.join(__dirname, ".data", "metrics"),
  },
  script: ".venv/bin/mpanel-billing",
  interpreter: "none",
  exec_mode: "fork", // cluster mode is for Node only
  kill_timeout: 12000, // ms; both stop by themselves within 10 s
  exp_backoff_restart_delay: 200, // ms at first; a broken start does not spin
  max_memory_restart: "500M",
  wait_ready: true, // both tell when they are
  listen_timeout: 15000, // ms to be ready
  merge_logs: true, // one file for all instances; each line is JSON with its time
};

module.exports = {
  apps: [
    {
      ...common,
      name: "tenant-billing",
      args: "serve",
      instances: 2, // they share PORT (SO_REUSEPORT): a reload replaces one after the other
    },
    {
      ...common,
      name: "tenant-billing-worker",
      args: "worker",
    },
  ],
};
