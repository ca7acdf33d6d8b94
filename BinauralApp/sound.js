// All versions play at once, and all but one are mute: so a switch is at the same sample.

export const sound = {
  context: null, buffers: {}, levels: {}, sources: {}, gains: {}, chosen: "made",
  offset: 0, started: 0, seconds: 0, playing: false, loop: false,

  async decode(url) {
    this.context ??= new AudioContext();
    const answer = await fetch(url);
    if (!answer.ok) throw new Error("this sound is not here any more; reload the page");
    return this.context.decodeAudioData(await answer.arrayBuffer());
  },

  // Sounds by name with the factors that make them equally loud; goes on where it was.
  put(buffers, levels, seconds, from = this.position()) {
    const playing = this.playing;
    this.stop();
    Object.assign(this, {buffers, levels, seconds, offset: Math.min(from, seconds)});
    if (!(this.chosen in buffers)) this.chosen = "made";
    if (playing) this.play(this.offset);
  },

  stop() {
    for (const source of Object.values(this.sources)) source.stop();
    for (const gain of Object.values(this.gains)) gain.disconnect();
    Object.assign(this, {sources: {}, gains: {}, playing: false});
  },

  level(name) { return name === this.chosen ? this.levels[name] ?? 1 : 0; },

  play(from) {
    this.stop();
    this.context.resume();
    this.offset = from >= this.seconds ? 0 : from;
    this.started = this.context.currentTime + 0.03;
    for (const [name, buffer] of Object.entries(this.buffers)) {
      const source = new AudioBufferSourceNode(this.context, {buffer, loop: this.loop});
      const gain = new GainNode(this.context, {gain: this.level(name)});
      source.connect(gain).connect(this.context.destination);
      source.start(this.started, this.offset);
      this.sources[name] = source;
      this.gains[name] = gain;
    }
    this.playing = true;
  },

  position() {
    if (!this.playing) return this.offset;
    const at = this.offset + Math.max(this.context.currentTime - this.started, 0);
    return this.loop ? at % this.seconds : Math.min(at, this.seconds);
  },

  pause() {
    const at = this.position();
    this.stop();
    this.offset = at;
  },

  seek(to) {
    const at = Math.min(Math.max(to, 0), this.seconds);
    if (this.playing && at < this.seconds) this.play(at);
    else { this.stop(); this.offset = at; }
  },

  // 5 ms are too short to hear as a fade and long enough not to click.
  choose(name) {
    if (!(name in this.buffers)) return;
    this.chosen = name;
    for (const [other, gain] of Object.entries(this.gains)) {
      gain.gain.setTargetAtTime(this.level(other), this.context.currentTime, 0.005);
    }
  },

  // One sound beside the others, which pause.
  async once(url) {
    this.pause();
    this.single?.stop();
    const buffer = await this.decode(url);
    await this.context.resume();
    this.single = new AudioBufferSourceNode(this.context, {buffer});
    this.single.connect(this.context.destination);
    this.single.start();
  },
};
