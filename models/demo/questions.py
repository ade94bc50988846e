"""Questions on how to use Shoal: (answer, key phrase, wordings to train on, wordings held out for the check)."""

HOW = ("[how do I|how do I|how can I|how can I|how to|how to|how do you|how would I|how should I|I want to|I need to|I would like to|can I|is it possible to|what must I do to"
       "|what do I type to|which command do I use to|what is the command to|is there a command to|what is the way to|show me how to|tell me how to|explain how to|help me]")


def concept(names):
    """Wordings that ask what something is; `names` are its names, with "|" between."""
    name = "[" + names + "]"
    return (f"[what is|what is|what's|what are|what exactly is|explain|define|describe|tell me about|what about|what do you know about] {name}"
            f"|[what does {name} mean|what do you mean by {name}|what is meant by {name}]|{name}, what is [it|that|this]"
            f"|[tell me|explain to me|explain|I do not understand|can you say|I want to know] what {name} is|[what is the meaning of|meaning of|definition of] {name}|{name}")

QUESTIONS = {
    "shoal": (
        "Shoal runs one language model on several machines together. Each machine holds some of the layers, and they answer as one.",
        "one language model on several machines",
        "[what is|what's|explain|describe|tell me about] [shoal|the shoal project]|what does shoal do|what is shoal [for|good for|used for]"
        "|[what kind of program is|what sort of thing is] shoal|why [do I need|would I use|should I use] shoal"
        "|[what is the idea of|what is the purpose of|introduce me to|give me an overview of] shoal|how does shoal work"
        + "|" + concept("shoal|the shoal project"),
        ["In one sentence, what does Shoal do?", "What's the point of Shoal?", "what can I use shoal for", "so what does this Shoal thing do?"]),
    "shard": (
        "A shard is a range of layers of the model. Each node loads one shard, and all shards together are the whole model.",
        "A shard is a range of layers",
        "[what is|what's|explain|define|describe] [a shard|a model shard|shards|the shards]|what are shards|what does [shard|the word shard] mean"
        "|what do you mean by [shard|a shard]|[what is in|what does] a shard [hold|contain]|[tell me about|tell me what is] [shards|a shard]"
        "|[meaning|definition] of shard"
        + "|" + concept("a shard|a model shard|shards|shard|the shards"),
        ["When you say shard, what is it?", "so what are these shards", "Explain to me what shards are.", "I read the word shard, what does that stand for?"]),
    "add": (
        "On the new machine run: shoal node --bootstrap ADDRESS --cluster NAME --shard i/n --model-dir DIR. It loads its shard and joins.",
        "shoal node --bootstrap ADDRESS --cluster NAME --shard i/n --model-dir DIR",
        "{HOW} [add|join|connect|attach|set up|start] "
        "[a node|a new node|another node|one more node|a machine|another machine|a second machine|another computer|my laptop|a shard node]"
        "[| to the swarm| to the cluster| to my swarm| to shoal| to the network]|[how does a|how can a|how do I let a] [node|new node|machine|computer] join"
        "[| the swarm| the cluster]|what is the command [for|to start|to add] a node|{HOW} extend [the|my] [swarm|cluster]",
        ["How do I add a new machine?", "how can one more computer join my swarm?", "I want to add a node, how does that work?",
         "what must I type to add a node"]),
    "start": (
        "Run shoal up. It starts a rendezvous server, four nodes and the API on this machine.",
        "shoal up",
        "{HOW} [start|run|launch|set up|create|try|begin] "
        "[a swarm|the swarm|my swarm|shoal|a whole swarm|everything|it|a local swarm|my first swarm]"
        "[| on this machine| on my machine| on one machine| on my computer| locally| here]"
        "|{HOW} get started[| with shoal]|[what is the command to start|how to begin with] [shoal|a swarm]"
        "|{HOW} [run|test|try] [shoal|it] on [one|a single] [machine|computer]|what is shoal up",
        ["What do I run to get a swarm going here?", "how do I get shoal running", "what is the quickest way to try Shoal?",
         "How can I launch a swarm on my own laptop?"]),
    "nodes": (
        "Use the option --nodes, for example: shoal up --nodes 8. Without it, shoal up starts four nodes.",
        "shoal up --nodes",
        "{HOW} [change|set|choose|pick] [the number of nodes|how many nodes start|the number of stages|the node count]"
        "|how many nodes [does shoal up start|are started|start by default|are there by default|will start]"
        "|{HOW} [start|run|use] [more nodes|eight nodes|two nodes|fewer nodes|6 nodes|8 nodes|2 nodes]"
        "|what is the default number of nodes|what does --nodes [do|mean]|{HOW} [start|run] more than four nodes",
        ["I'd like six nodes, not four.", "how many nodes are there if I say nothing?", "where do I say how many nodes I want",
         "Could I have ten nodes?"]),
    "rendezvous": (
        "The rendezvous server is the place where nodes meet. It knows the members of each cluster.",
        "the place where nodes meet",
        "[what is|what's|explain|describe] [the|a] rendezvous[| server| node]|what does the rendezvous[| server] do|what is rendezvous"
        "|[why do I need|why is there|what is the purpose of|what is the role of|do I need] [a|the] rendezvous[| server]"
        "|[tell me about|what do you mean by] the rendezvous[| server]|what is the bootstrap[| server| address| node]"
        + "|" + concept("the rendezvous|the rendezvous server|a rendezvous server|rendezvous|the bootstrap|the bootstrap server|a bootstrap address"),
        ["What job does the rendezvous server have?", "what is a rendezvous server good for", "Explain the rendezvous to me.",
         "why does shoal need a rendezvous server?"]),
    "rendezvous_start": (
        "Run shoal rendezvous. It listens on port 51820, UDP and TCP.",
        "Run shoal rendezvous",
        "{HOW} [start|run|launch|set up|host|install|open] [a|the|my|my own] rendezvous[| server]"
        "|[what is the command for|which command starts|what starts] the rendezvous[| server]",
        ["I want a rendezvous server of my own, what do I run?", "which command starts a rendezvous", "how is the rendezvous server started?"]),
    "port": (
        "The rendezvous server uses port 51820, UDP and TCP. The API uses port 51822.",
        "51820",
        "[what|which] port [does it use|does shoal use|does the rendezvous server use|does the rendezvous use|is used|does the server listen on|is it]"
        "|[what|which] ports [does shoal use|are used|do I need|must be open|should I open|do I have to open|are there]"
        "|[what is|tell me] the port[| number][| of the rendezvous server| of shoal| of the rendezvous]"
        "|[on which port|on what port] does [it|shoal|the rendezvous server] [run|listen]|[which|what] [firewall ports|port numbers] [do I open|does it use]"
        "|[what|which] port [must|should] [be open|I open][| in my firewall| in the firewall]",
        ["Tell me which port it listens on.", "what ports must I open in the firewall", "Which port number does the rendezvous server listen on?",
         "what port is the rendezvous on?"]),
    "own": (
        "Give it a GGUF file: shoal up --model FILE. The model is cut into shards by its layers.",
        "shoal up --model FILE",
        "{HOW} [use|run|load|choose|take|try|serve] [my own model|another model|a different model|my model|other models|my own gguf"
        "|a bigger model|a real model|my own gguf file|a model of mine|a larger model][| with shoal| here]"
        "|{HOW} [change|replace|switch] the model|what does --model do|[where|how] do I [give|put|set] the model file",
        ["I have my own model, how do I use that one?", "could it run some other model", "how do I switch to another model?",
         "I have a GGUF file, how can I run it?"]),
    "api": (
        "The API is at http://127.0.0.1:51822/v1. Use it as the base URL of any OpenAI client.",
        "http://127.0.0.1:51822/v1",
        "{HOW} [use|call|reach|connect to|talk to|access] [the api|shoal from the openai client|it from the openai client|the openai api"
        "|it with the openai library|it from python|it from my program|it from code|the http api]|[what is|where is|tell me|which is] [the|your] "
        "[api|api address|base url|api url|address of the api|openai address|endpoint|api endpoint]"
        "|[which|what] [url|base url|api address|address|endpoint] [do I use|should I use|do I give|do I need][| for the api| in the openai client| for the openai client]"
        "|[can I|how do I] use [the openai client|openai|an openai client|curl]|is there an [api|openai api|http api]|how do I ask from the openai client"
        "|[how do I|how can I] send a [request|prompt] [to the api|by http|from my app|from my code]",
        ["I use the OpenAI client, what address do I need?", "which base url do I put into the openai library?", "what's the API address?",
         "How can my program talk to Shoal?"]),
    "dies": (
        "Today the reply ends with an error that names the stage that died. Recovery comes later.",
        "names the stage that died",
        "what happens [if|when] [a node|one node|a machine|a stage|one machine|a shard|one of the nodes|a computer] "
        "[dies|crashes|stops|fails|goes down|disappears|is lost|goes away|is killed|is turned off]|[is it|is shoal] fault tolerant|can it survive a [crash|dead node]"
        "|what if [a node|a machine|a stage|a computer] [dies|crashes|fails|stops|goes down|is lost]|[can I|what if I] [kill|unplug|turn off|lose] a [node|machine]"
        "|what happens when I [kill|unplug|turn off|lose|stop] [a|one] [node|machine]|does it recover[| from a crash| when a node dies]",
        ["Suppose a node dies, what then?", "what if one machine crashes in the middle of a reply?", "And when a node goes down?",
         "what happens to my answer if a stage dies"]),
    "split": (
        "Run shoal split model.gguf --shards 8 --out dir. It writes shard-0.gguf to shard-7.gguf and a manifest.",
        "shoal split model.gguf --shards 8 --out dir",
        "{HOW} [split|cut|divide|slice|shard|break up] [a model|the model|my model|a gguf|a gguf file|a file]"
        "[| into shards| into pieces| into parts| into 8 shards| in 4 parts]|{HOW} [make|create|write|get|produce] [shards|the shards|shard files|a shard file]"
        "|[what is the command to split|which command splits] a model|what does shoal split do",
        ["Which command is for splitting a model?", "how is a gguf cut into several shards?", "my model should be divided into shards, how?",
         "which command makes the shard files?"]),
    "verify": (
        "Run shoal verify model.gguf --shards 4. It proves that the shards give the whole model's logits, bit for bit.",
        "shoal verify model.gguf --shards 4",
        "{HOW} [verify|check|test|prove|validate] [the shards|my shards|shards|that the shards are right|a split|that the split is right"
        "|that the shards are correct|a split model|the shard files]|[are the shards|is the split] [correct|exact|the same as the whole model]"
        "|what does shoal verify do|[how do I know|how can I be sure] [the shards are right|the shards are correct|the split is correct|the shards work]",
        ["With what command are shards verified?", "how can I check my shards are correct?", "is there a way to test that the shards are exact",
         "How do I know that the split is right?"]),
    "stop": (
        "Press Ctrl-C. Every process stops within five seconds.",
        "Ctrl-C",
        "{HOW} [stop|quit|end|exit|shut down|close|kill|terminate|turn off|leave] [it|shoal|the swarm|a swarm|everything|this|a node|the program"
        "|all processes|my swarm|the nodes]|[what is the command to|how to] stop|what [stops|ends] [shoal|the swarm|it]",
        ["I am done, how do I stop this thing?", "how do I shut the swarm down", "which key stops the program", "what do I press to stop everything?"]),
    "gguf": (
        "GGUF is the model file format of llama.cpp. One file holds the weights, the tokenizer and the metadata.",
        "GGUF is the model file format",
        "[what is|what's|explain|define|describe|what does] [gguf|a gguf|a gguf file|the gguf format|gguf mean]|what are gguf files|what is inside a gguf[| file]"
        "|[which|what] [file format|format|kind of file] [does shoal use|are the models in|must the model be in|is the model|do I need]|[tell me about|what do you mean by] gguf"
        + "|" + concept("gguf|a gguf|a gguf file|the gguf format|gguf files"),
        ["GGUF stands for what?", "why is the file called gguf", "which file format must my model have?", "What kind of thing is a GGUF?"]),
    "private": (
        "No, it is not secret. The machines that compute your prompt can read it, so use machines you trust.",
        "can read it",
        "[is it|is shoal|is this|is my prompt|are my prompts|is my data|is my text|is what I write|are my questions] [private|secret|safe|confidential|encrypted|hidden|secure]"
        "|[can|could|will] [the nodes|other people|others|other machines|a node|somebody|the other nodes|someone] [read|see|look at] [my prompt|my prompts|what I write|my text|my data|my questions]"
        "|who can [read|see] [my prompt|my prompts|what I write|my data]|[what about|how about] [privacy|secrecy|security]|do you keep my [prompt|data] [private|secret]",
        ["Does my prompt stay private?", "can the other machines see what I type?", "Do my words stay secret?", "who is able to read my prompts"]),
    "wrong": (
        "Read the log: each line tells one step, and an error says what failed. While shards are missing, the API answers 503 and says which.",
        "Read the log",
        "[how do I see|how can I see|how do I find out|how can I find out|where can I see|show me|how do I know|tell me] what [is wrong|'s wrong|went wrong|failed|the problem is|the error is]"
        "|[it|shoal|the swarm|my swarm|my node|something] [does not work|is not working|doesn't work|is broken|failed|does not start|hangs]"
        "|[I have a problem|there is a problem|I get an error|something is wrong|help, it is broken][| with shoal| with the swarm]"
        "|[where are|where do I find|how do I read|how do I see] the [logs|log|errors|error messages]|[why does it|why does shoal] [not work|fail|not start]"
        "|[why do I get|what does|what is] [503|error 503|a 503][| mean]|how do I [debug|troubleshoot|diagnose] [it|shoal|the swarm|a problem|problems]"
        "|[how do I know|how can I see] which shards are missing|what if a shard is missing",
        ["How do I see what's wrong?", "my swarm is not working, what now?", "where can I find the log", "How do I find the problem?",
         "why does the API answer 503?"]),
    "find": (
        "Nodes meet at the rendezvous server named by --bootstrap. Each one joins its cluster and announces its shard.",
        "Nodes meet at the rendezvous server",
        "how do [nodes|the nodes|machines|the machines|the computers] [find|discover|meet|know|learn about|see] [each other|one another|the others]"
        "|how does [a node|one node|each node] [find|discover|meet|know] [the others|other nodes|the other nodes]|how does [discovery|node discovery|peer discovery] work"
        "|how [are nodes found|are the nodes discovered|do peers find each other]|what does --bootstrap [do|mean]",
        ["How is it that nodes find each other?", "how does a node know where the other nodes are?", "in what way do the machines discover one another",
         "How does one machine find another?"]),
    "stage": (
        "A stage is one step of the pipeline. It computes its layers and sends the result on; the last stage picks the next token.",
        "A stage is one step of the pipeline",
        "[what is|what's|explain|define|describe|what does] [a stage|the pipeline|a pipeline|pipeline mean|stage mean|a pipeline stage|the ring]|what are [stages|the stages|pipeline stages]"
        "|how does the pipeline work|what does [a stage|each stage] do|what do you mean by [stage|pipeline]|[tell me about|tell me what is] the [pipeline|stages]"
        "|how [do|does] [the shards|the nodes|they|the machines] [work together|answer together|compute together]"
        + "|" + concept("a stage|the pipeline|a pipeline|pipeline|stages|a pipeline stage|the ring"),
        ["In the pipeline, what is a stage?", "why is it called a pipeline", "What is the job of a stage?", "how do the stages work?"]),
    "chat": (
        "Run shoal chat with your question in quotes. It streams the reply in the terminal.",
        "Run shoal chat",
        "{HOW} [chat|ask a question|talk to it|ask something|ask|talk to the model|chat with the model|send a prompt] "
        "[in|from|on|in the|from the] [terminal|command line|shell|console]|[what does shoal chat do|what is shoal chat]"
        "|[is there a|which is the] [chat command|command to chat]|{HOW} chat[| with you| with the model]",
        ["How do I chat in my terminal?", "which command lets me chat", "can I ask questions from the command line?"]),
    "inspect": (
        "Run shoal inspect FILE. It shows what the file is.",
        "shoal inspect FILE",
        "{HOW} [inspect|look into|look inside|examine|see what is in] [a file|a gguf|a gguf file|my model file|a model file|the file|a shard file]"
        "|what does shoal inspect do|how do I see what a [gguf|file|shard file] [is|contains|has inside]",
        ["What's in this gguf file, how can I look?", "what command examines a model file", "how do I inspect my model?"]),
    "cluster": (
        "A cluster is a named group of nodes that run one model together. Give each node the same --cluster NAME.",
        "A cluster is a named group of nodes",
        "[what is|what's|explain|define|describe] [a cluster|the cluster|clusters|a swarm|the swarm|a cluster name]|what does [cluster|swarm|--cluster] [mean|do]"
        "|what do you mean by [cluster|swarm]|[which|what] cluster name [do I use|should I use]|{HOW} [name|choose] [a|the|my] cluster"
        "|[tell me about|tell me what is] [clusters|a cluster|a swarm]|what are [clusters|swarms]"
        + "|" + concept("a cluster|the cluster|clusters|a swarm|the swarm|swarm|a cluster name"),
        ["When you say cluster, what is it?", "so what is this swarm", "What is a cluster made of?"]),
    "node": (
        "A node is a machine that loads one shard and computes its layers. It is started with shoal node.",
        "A node is a machine that loads one shard",
        "[what is|what's|explain|define|describe] [a node|the node|a shard node|nodes|shard nodes]|what does [a node|a shard node|the word node] [do|mean]|what do you mean by [node|a node]"
        "|what are [nodes|shard nodes]|[tell me about|tell me what is] [nodes|a node]"
        + "|" + concept("a node|the node|a shard node|nodes|node|shard nodes"),
        ["When you say node, what is it?", "what is the job of a node", "So what are these nodes?"]),
    "gateway": (
        "The gateway finds the shards and answers the OpenAI API at http://127.0.0.1:51822/v1. Start it with shoal serve.",
        "shoal serve",
        "[what is|what's|explain|describe] [the gateway|a gateway|shoal serve]|what does [the gateway|shoal serve] do|{HOW} [start|run|launch|open] [the api|the gateway"
        "|the api server|a gateway|the openai server|an api server]|which command starts the [api|gateway]"
        + "|" + concept("the gateway|a gateway|gateway|shoal serve"),
        ["What job does the gateway have?", "with which command is the gateway started", "which command opens the API?"]),
    "install": (
        "You need git, Node 20.20 or newer and npm 11. Then run npm ci and npm start.",
        "npm ci",
        "{HOW} [install|build|download|set up] [shoal|it|this program]|what do I need[| to run shoal| to install shoal| for shoal]"
        "|what are the requirements[| of shoal]|[which|what] [software|node version|version of node|programs] do I need|how is shoal installed",
        ["How can Shoal be installed?", "what must I have to run Shoal?", "which node version is needed"]),
    "models": (
        "Shoal runs GGUF models of the families Llama, Qwen2, Qwen3 and Phi-3. Any other architecture is refused by its name.",
        "Llama, Qwen2, Qwen3 and Phi-3",
        "[which|what] [models|architectures|model families|kinds of models|language models] [are supported|does shoal support|can shoal run|can I run|work|work with shoal|can I use|does it run]"
        "|does [it|shoal] [support|run] [llama|qwen|phi|mistral|gemma|qwen3|my model]|[can I|can shoal] run [llama|qwen|phi|gemma|mistral]|is [llama|qwen|phi|gemma] supported",
        ["Which model types run on it?", "will a llama model work", "Are Qwen models OK?"]),
    "engine": (
        "Shoal computes with llama.cpp, unmodified. The answers are the same, token for token, as on one machine.",
        "llama.cpp, unmodified",
        "[which|what] engine [does it use|does shoal use|is used|computes]|does [it|shoal] use llama.cpp|what is [llama.cpp|the engine]|[are the answers|is the answer|is the output] "
        "[exact|the same|identical|different|the same as on one machine]|[is it|is shoal] based on llama.cpp|what [computes|runs] the [layers|model]"
        "|does splitting change the [answers|answer|output]",
        ["What engine does Shoal run on?", "is the result the same as on one machine?", "does shoal work with llama.cpp"]),
    "who": (
        "I am the Shoal demo model, a very small language model. I can tell small stories and explain how to use Shoal.",
        "I am the Shoal demo model",
        "who are you|what are you|[what is|what's|tell me] your name|what can you do|what do you know|what can I ask[| you]|[are you|is this] [an ai|a robot|a human|a language model|chatgpt|real]"
        "|[which|what] model [are you|is this|do you use]|how [big|large|small] are you|tell me about yourself|what should I ask[| you]|introduce yourself|who made you"
        "|how can you help[| me]|[help|help me]|what is the demo model",
        ["Who exactly are you?", "what things can you do?", "what sort of model are you", "What can I ask you about?"]),
    "license": (
        "Shoal and its demo model are free under the MIT license.",
        "MIT license",
        "[what is|which is|tell me] the license[| of shoal]|[which|what] license [does shoal have|is it under|does it use|is used]|[is it|is shoal] [free|open source|free software]"
        "|what does [it|shoal] cost|can I use it [commercially|at work|for free]|is there a license|under [which|what] license is [it|shoal]",
        ["Which license does Shoal use?", "may I use shoal for nothing", "how much does Shoal cost"]),
    "transport": (
        "Nodes talk over libp2p: QUIC first, and TCP when QUIC fails.",
        "libp2p",
        "how do [nodes|the nodes|the machines] [talk|communicate|speak|connect|send data][| to each other| with each other]|[which|what] [network protocol|transport|protocol] [does it use|does shoal use|is used|do the nodes use|do nodes speak]"
        "|does [it|shoal] use [quic|tcp|libp2p|udp]|what is [libp2p|quic]|how does the network work",
        ["How do the machines talk with one another?", "which protocol do the nodes speak?", "is QUIC used"]),
    "apiport": (
        "Use the option --api-port, for example: shoal up --api-port 8080. Without it a free port is taken if 51822 is in use.",
        "--api-port",
        "{HOW} [change|set|choose|move] [the api port|the port of the api|the http port|the port][| to 8080]"
        "|[what if|what happens if|what happens when] [the port|port 51822|a port|the api port] is [taken|in use|busy|already used]|[the port|port 51822|a port] is [in use|already taken|busy]"
        "|what does --api-port do",
        ["I need the API on a different port.", "what if the port is already in use", "can I use another port for the API?"]),
    "sampling": (
        "Use the options --temperature and --seed, for example: shoal up --temperature 0.8 --seed 1.",
        "--temperature",
        "{HOW} [set|change|choose|use] [the temperature|a temperature|the seed|a seed|temperature and seed|the sampling]"
        "|{HOW} get [the same answer again|different answers|a different story|more random text|the same story again]|what does --[temperature|seed] do|what is the [temperature|seed]",
        ["Where is the temperature set?", "which option sets the seed", "how can I get a different answer each time?"]),
    "length": (
        "Use the option --max-tokens, for example: shoal up --max-tokens 100.",
        "--max-tokens",
        "{HOW} [limit|set|change|control] [the length of the answer|the answer length|the number of tokens|the length|how long the answer is|how many tokens it writes]"
        "|[how do I|how to|can I] get [longer|shorter] [answers|text|replies]|what does --max-tokens do|what is --max-tokens",
        ["How do I make the reply shorter?", "how can I limit the length of a reply?", "which option sets the number of tokens"]),
}
QUESTIONS = {key: (answer, phrase, words.replace("{HOW}", HOW), held) for key, (answer, phrase, words, held) in QUESTIONS.items()}
